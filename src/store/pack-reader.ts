// Packs on their way out: whole, in spans, as a stream, or only their directories, one after the other.
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { decodePackHeader, packHeaderBytes } from '../format/pack.ts';
import { isUnreadable } from '../fs/map-fs-error.ts';
import type { PackRecord } from './metadata-store.ts';
import { packKey, parsePackName, quarantinePrefix } from './object-keys.ts';
import { type ObjectKey, type ObjectReading, piecesOf, sentPieceBytes } from './object-store.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { ByteSpan } from './repository-store.ts';

/** An open pack: what was opened stays readable, also when retention removes it meanwhile. */
export interface PackReading {
  /** Length of the pack's file as the client sent it. */
  readonly sizeBytes: number;
  /** Of the whole pack, as checked on arrival. */
  readonly sha256: Uint8Array;
  /** The file's descriptor, where the pack is a file of this machine. */
  readonly descriptor: number | undefined;
  /** @throws LIMIT_EXCEEDED for a span outside the pack, DAMAGED when the file is cut short, IO. */
  read(span: ByteSpan): Promise<Uint8Array>;
  /** The span in pieces of at most 256 KiB. @throws as `read`. */
  stream(span: ByteSpan): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

function damaged(number: number): FallbackError {
  return new FallbackError('DAMAGED', `Pack ${number} is damaged or lost on the fallback server.`, {
    details: { pack: number },
  });
}

class OpenPack implements PackReading {
  readonly #record: PackRecord;
  readonly #reading: ObjectReading;

  constructor(record: PackRecord, reading: ObjectReading) {
    this.#record = record;
    this.#reading = reading;
  }

  get sizeBytes(): number {
    return this.#record.fileBytes;
  }

  get sha256(): Uint8Array {
    return this.#record.sha256;
  }

  get descriptor(): number | undefined {
    return this.#reading.descriptor;
  }

  #check({ start, end }: ByteSpan): void {
    const isInside = Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start <= end;
    if (!isInside || end > this.sizeBytes) {
      throw new FallbackError('LIMIT_EXCEEDED', `Bytes ${start} to ${end} lie outside of pack ${this.#record.number}.`);
    }
  }

  async read(span: ByteSpan): Promise<Uint8Array> {
    this.#check(span);
    const bytes = await this.#reading.read(span).catch((error: unknown) => {
      throw isUnreadable(error) ? damaged(this.#record.number) : error;
    });
    if (bytes.byteLength !== span.end - span.start) throw damaged(this.#record.number);
    return bytes;
  }

  async *stream(span: ByteSpan): AsyncIterable<Uint8Array> {
    this.#check(span);
    for (const piece of piecesOf(span, sentPieceBytes)) yield await this.read(piece);
  }

  async close(): Promise<void> {
    await this.#reading.close();
  }
}

/** Reads a record's file; that it is not there, or cannot be read, is damage. */
async function fromFile<Result>(
  context: RepositoryContext,
  { number, revision }: PackRecord,
  read: (key: ObjectKey) => Promise<Result>,
): Promise<Result> {
  try {
    return await read(packKey(context.id, number, revision));
  } catch (error) {
    if (isFallbackError(error, 'NOT_FOUND') || isUnreadable(error)) throw damaged(number);
    throw error;
  }
}

async function openRecorded(context: RepositoryContext, record: PackRecord): Promise<PackReading> {
  return new OpenPack(record, await fromFile(context, record, (key) => context.objects.open(key)));
}

async function recordOf(context: RepositoryContext, number: number): Promise<PackRecord> {
  const record = await context.read(async (view) => {
    await context.state(view);
    return await view.pack(context.id, number);
  });
  if (record === undefined || record.state === 'deleting') {
    throw new FallbackError('NOT_FOUND', `The server has no pack ${number}.`, { details: { pack: number } });
  }
  if (record.state === 'lost') throw damaged(number);
  return record;
}

/** Opens a pack for reading; condemned ones too, which snapshots in their grace time still need. @throws NOT_FOUND, DAMAGED, IO. */
export async function openPack(context: RepositoryContext, number: number): Promise<PackReading> {
  try {
    return await openRecorded(context, await recordOf(context, number));
  } catch (error) {
    if (!isFallbackError(error, 'DAMAGED')) throw error;
    // Healed between the look at the record and the opening: the record knows by now.
    return await openRecorded(context, await recordOf(context, number));
  }
}

/** A header that was damaged on the disk would have a reader lose its place in the list of all directories. */
function isPrefixOf(context: RepositoryContext, record: PackRecord, prefix: Uint8Array): boolean {
  try {
    const { repositoryId, number, directoryBytes } = decodePackHeader(prefix);
    const prefixBytes = packHeaderBytes + directoryBytes;
    return repositoryId === context.id && number === record.number && prefixBytes === record.prefixBytes;
  } catch (error) {
    if (isFallbackError(error)) return false;
    throw error;
  }
}

async function readPrefix(context: RepositoryContext, record: PackRecord): Promise<Uint8Array | undefined> {
  try {
    const start = await fromFile(context, record, (key) => context.objects.readStart(key, record.prefixBytes));
    if (start.byteLength === record.prefixBytes) return isPrefixOf(context, record, start) ? start : undefined;
    const pack = await openRecorded(context, record);
    try {
      const prefix = await pack.read({ start: 0, end: record.prefixBytes });
      return isPrefixOf(context, record, prefix) ? prefix : undefined;
    } finally {
      await pack.close();
    }
  } catch (error) {
    // A file that scrub has not missed yet, or that is being healed: without its directory its chunks are sent again.
    if (isFallbackError(error, 'DAMAGED')) return undefined;
    throw error;
  }
}

const pageRows = 512;
const MiB = 1024 * 1024;
/** Reads under way at once, and their bytes: enough to keep the disk busy. */
const readsAhead = 32;
const readAheadBytesMax = 8 * MiB;
/** All readers together. One that finds it used up reads its first MiB ahead as ever, and of larger directories one at a time. */
const allReadAheadBytesMax = 64 * MiB;
const ownReadAheadBytes = MiB;

async function* presentRecords(context: RepositoryContext, fromPack: number): AsyncIterable<PackRecord> {
  for (let from = fromPack; ; ) {
    const page = await context.read((view) => view.packs(context.id, from, pageRows));
    const last = page.at(-1);
    if (last === undefined) return;
    for (const record of page) if (record.state === 'whole' && record.condemnedAtMs === undefined) yield record;
    from = last.number + 1;
  }
}

/** Directories that are being read for one reader, in order; what it holds is counted until it is let go. */
class ReadAhead {
  readonly #context: RepositoryContext;
  readonly #reads: { readonly bytes: number; readonly prefix: Promise<Uint8Array | undefined> }[] = [];
  #heldBytes = 0;
  #takenBytes = 0;

  constructor(context: RepositoryContext) {
    this.#context = context;
  }

  get isEmpty(): boolean {
    return this.#reads.length === 0;
  }

  /** Whether one more may be begun; one always may. */
  hasRoom({ prefixBytes }: PackRecord): boolean {
    if (this.isEmpty) return true;
    const bytes = this.#heldBytes + prefixBytes;
    if (this.#reads.length >= readsAhead || bytes > readAheadBytesMax) return false;
    return bytes <= ownReadAheadBytes || this.#context.running.readAhead + prefixBytes <= allReadAheadBytesMax;
  }

  begin(record: PackRecord): void {
    const prefix = readPrefix(this.#context, record);
    // Its error is met when it is awaited; until then it must not count as unhandled.
    prefix.catch(() => undefined);
    this.#reads.push({ bytes: record.prefixBytes, prefix });
    this.#count(record.prefixBytes);
  }

  /** Takes the oldest, undefined when it could not be read. It counts until it is let go. */
  async take(): Promise<Uint8Array | undefined> {
    const read = this.#reads.shift();
    this.#takenBytes = read?.bytes ?? 0;
    return await read?.prefix;
  }

  letGo(): void {
    this.#count(-this.#takenBytes);
    this.#takenBytes = 0;
  }

  async close(): Promise<void> {
    this.letGo();
    const reads = this.#reads.splice(0);
    await Promise.allSettled(reads.map(({ prefix }) => prefix));
    for (const { bytes } of reads) this.#count(-bytes);
  }

  #count(bytes: number): void {
    this.#heldBytes += bytes;
    this.#context.running.readAhead += bytes;
  }
}

/** Header and sealed directory of every present pack from `fromPack` on, ascending. @throws NOT_FOUND, IO. */
export async function* readDirectories(context: RepositoryContext, fromPack: number): AsyncIterable<Uint8Array> {
  await context.read((view) => context.state(view));
  const ahead = new ReadAhead(context);
  try {
    for await (const record of presentRecords(context, fromPack)) {
      while (!ahead.hasRoom(record)) {
        const prefix = await ahead.take();
        if (prefix !== undefined) yield prefix;
        ahead.letGo();
      }
      ahead.begin(record);
    }
    while (!ahead.isEmpty) {
      const prefix = await ahead.take();
      if (prefix !== undefined) yield prefix;
      ahead.letGo();
    }
  } finally {
    await ahead.close();
  }
}

/** Header and sealed directory of a lost pack from its newest quarantined file, as far as that is readable. */
export async function readLostDirectory(context: RepositoryContext, number: number): Promise<Uint8Array | undefined> {
  const record = await context.read(async (view) => {
    await context.state(view);
    return await view.pack(context.id, number);
  });
  if (record?.state !== 'lost') return undefined;
  const candidates = (await context.objects.list(quarantinePrefix(context.id)))
    .map((key) => ({ key, name: parsePackName(key) }))
    .filter(({ name }) => name?.number === number)
    .sort((a, b) => (b.name?.revision ?? 0) - (a.name?.revision ?? 0));
  for (const { key } of candidates) {
    const prefix = await readQuarantinedPrefix(context, key, number);
    if (prefix !== undefined) return prefix;
  }
  return undefined;
}

async function readQuarantinedPrefix(
  context: RepositoryContext,
  key: string,
  number: number,
): Promise<Uint8Array | undefined> {
  const reading = await context.objects.open(key);
  try {
    const header = decodePackHeader(await reading.read({ start: 0, end: packHeaderBytes }));
    if (header.repositoryId !== context.id || header.number !== number) return undefined;
    const end = packHeaderBytes + header.directoryBytes;
    const prefix = await reading.read({ start: 0, end });
    return prefix.byteLength === end ? prefix : undefined;
  } catch (error) {
    if (isFallbackError(error, 'FORMAT_INVALID') || isFallbackError(error, 'FORMAT_UNSUPPORTED')) return undefined;
    throw error;
  } finally {
    await reading.close();
  }
}
