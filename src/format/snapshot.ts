// A snapshot: a head in clear that a server can check without a key, and a sealed record. FORMAT.md, Snapshot.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import {
  type Epoch,
  idBytes,
  type Origin,
  parseEpoch,
  parseOrigin,
  parseSnapshotNumber,
  type RepositoryId,
  repositoryIdFromBytes,
  type SnapshotNumber,
} from './ids.ts';
import { limits } from './limits.ts';
import { type PackRanges, readPackRanges, writePackRanges } from './pack-ranges.ts';
import { padmeLength } from './padme.ts';
import { readMagic } from './read-magic.ts';
import { type Recipe, readRecipe, writeRecipe } from './recipe.ts';

/**
 * What a server sees of a snapshot, and the associated data of the sealed record:
 *
 *     0 "FBSN"  4 version=1  5 completeness (0 complete, 1 partial)  6 u16 zero  8 repository id (16)
 *     24 u64 number  32 u64 epoch  40 SHA-256 of the previous snapshot's file (32; zeros for the first)
 *     72 varint-sized origin, then the pack ranges it needs, then u32 length of the sealed record that follows
 */
export interface SnapshotHead {
  readonly repositoryId: RepositoryId;
  readonly number: SnapshotNumber;
  readonly epoch: Epoch;
  readonly complete: boolean;
  readonly previousSha256: Uint8Array;
  readonly origin: Origin;
  readonly packs: PackRanges;
}

/** Encodes the head, up to and including the sealed record's length in bytes. */
export function encodeSnapshotHead(head: SnapshotHead, sealedBytes: number): Uint8Array {
  const writer = new ByteWriter(128)
    .bytes(Buffer.from('FBSN'))
    .u8(1)
    .u8(head.complete ? 0 : 1)
    .u16(0)
    .bytes(idBytes(head.repositoryId))
    .u64(head.number)
    .u64(head.epoch)
    .bytes(head.previousSha256)
    .text(head.origin, limits.originBytesMax);
  writePackRanges(writer, head.packs);
  return writer.u32(sealedBytes).finish();
}

/** A snapshot file taken apart, not yet opened; both byte strings are views of the input. */
export interface SnapshotFile {
  readonly head: SnapshotHead;
  /** The encoded head: the associated data. */
  readonly headBytes: Uint8Array;
  /** Nonce, sealed record and tag. */
  readonly sealed: Uint8Array;
}

/** Takes a whole snapshot file apart. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodeSnapshotFile(bytes: Uint8Array): SnapshotFile {
  const reader = new ByteReader(bytes, 'snapshot');
  readMagic(reader, 'FBSN', 'snapshot');
  if (bytes.byteLength > limits.snapshotFileBytesMax) throw reader.invalid('it is beyond the limit');
  const completeness = reader.u8();
  if (completeness > 1 || reader.u16() !== 0) throw reader.invalid('its flags are unknown');
  const repositoryId = repositoryIdFromBytes(reader.bytes(16));
  const number = parseSnapshotNumber(reader.u64());
  const epoch = parseEpoch(reader.u64());
  const previousSha256 = new Uint8Array(reader.bytes(32));
  const origin = parseOrigin(reader.text(limits.originBytesMax));
  const packs = readPackRanges(reader);
  const sealedBytes = reader.u32();
  const headBytes = bytes.subarray(0, reader.offset);
  const sealed = reader.bytes(sealedBytes);
  reader.end();
  const head: SnapshotHead = {
    repositoryId,
    number,
    epoch,
    complete: completeness === 0,
    previousSha256,
    origin,
    packs,
  };
  return { head, headBytes, sealed };
}

/** How the making of one archive went. */
export type ArchiveStatus = 'saved' | 'kept' | 'suspicious';
const statuses: readonly ArchiveStatus[] = ['saved', 'kept', 'suspicious'];

/** Short facts about a snapshot or an archive, for example the YunoHost version. */
export type Attributes = Readonly<Record<string, string>>;

/** One archive of a snapshot. */
export interface SnapshotArchive {
  /** `system`, an app's id, or a file's name without `.tar`. */
  readonly name: string;
  /** saved tonight; kept from an earlier night because tonight's failed; or saved, but implausibly small. */
  readonly status: ArchiveStatus;
  /** When these bytes were pushed, in milliseconds since 1970 by the client's clock. */
  readonly savedAtMs: number;
  readonly recipe: Recipe;
  /** The list of its tar members (catalogue.ts); undefined when it is not a tar. */
  readonly catalogue: Recipe | undefined;
  readonly attributes: Attributes;
}

/** The sealed record. */
export interface SnapshotRecord {
  readonly createdAtMs: number;
  readonly hostName: string;
  readonly programVersion: string;
  readonly archives: readonly SnapshotArchive[];
  readonly attributes: Attributes;
}

const compareUtf8 = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Writes: varint count, then each key and value as texts, the keys in ascending order of their UTF-8 bytes. */
function writeAttributes(writer: ByteWriter, attributes: Attributes): void {
  const entries = Object.entries(attributes).sort(([a], [b]) => compareUtf8(a, b));
  if (entries.length > limits.attributesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `More than ${limits.attributesMax} attributes do not fit in a snapshot.`);
  }
  writer.varint(entries.length);
  for (const [key, value] of entries) writer.text(key, limits.attributeBytesMax).text(value, limits.attributeBytesMax);
}

function readAttributes(reader: ByteReader): Attributes {
  const count = reader.varint(limits.attributesMax);
  const attributes: Record<string, string> = Object.create(null);
  let previous: string | undefined;
  for (let index = 0; index < count; index++) {
    const key = reader.text(limits.attributeBytesMax);
    if (previous !== undefined && compareUtf8(key, previous) <= 0)
      throw reader.invalid('its attributes are out of order');
    attributes[key] = reader.text(limits.attributeBytesMax);
    previous = key;
  }
  return attributes;
}

/**
 * Encodes a record, padded with zeros to its Padmé length; not yet sealed.
 * @throws LIMIT_EXCEEDED, FORMAT_INVALID for a record that could not be read again.
 */
export function encodeSnapshotRecord(record: SnapshotRecord): Uint8Array {
  const writer = new ByteWriter(4096)
    .varint(record.createdAtMs)
    .text(record.hostName, limits.hostBytesMax)
    .text(record.programVersion, limits.noteBytesMax)
    .varint(record.archives.length);
  for (const archive of record.archives) {
    writer
      .text(archive.name, limits.archiveNameBytesMax)
      .u8(statuses.indexOf(archive.status))
      .varint(archive.savedAtMs);
    writeRecipe(writer, archive.recipe);
    writer.u8(archive.catalogue === undefined ? 0 : 1);
    if (archive.catalogue !== undefined) writeRecipe(writer, archive.catalogue);
    writeAttributes(writer, archive.attributes);
  }
  writeAttributes(writer, record.attributes);
  writer.zeros(padmeLength(writer.length) - writer.length);
  const bytes = writer.finish();
  decodeSnapshotRecord(bytes);
  return bytes;
}

function readArchive(reader: ByteReader): SnapshotArchive {
  const name = reader.text(limits.archiveNameBytesMax);
  if (!isArchiveName(name)) throw reader.invalid('an archive’s name is not allowed');
  const status = statuses[reader.u8()];
  if (status === undefined) throw reader.invalid('an archive’s status is unknown');
  const savedAtMs = reader.varint();
  const recipe = readRecipe(reader);
  const hasCatalogue = reader.u8();
  if (hasCatalogue > 1) throw reader.invalid('a flag is unknown');
  const catalogue = hasCatalogue === 1 ? readRecipe(reader, limits.catalogueBytesMax) : undefined;
  return { name, status, savedAtMs, recipe, catalogue, attributes: readAttributes(reader) };
}

/** Decodes an opened record. @throws FORMAT_INVALID. */
export function decodeSnapshotRecord(bytes: Uint8Array): SnapshotRecord {
  const reader = new ByteReader(bytes, 'snapshot record');
  const createdAtMs = reader.varint();
  const hostName = reader.text(limits.hostBytesMax);
  const programVersion = reader.text(limits.noteBytesMax);
  const count = reader.varint(limits.snapshotArchivesMax);
  const archives: SnapshotArchive[] = [];
  const names = new Set<string>();
  for (let index = 0; index < count; index++) {
    const archive = readArchive(reader);
    if (names.has(archive.name)) throw reader.invalid('an archive occurs twice');
    names.add(archive.name);
    archives.push(archive);
  }
  const attributes = readAttributes(reader);
  if (bytes.byteLength !== padmeLength(reader.offset)) throw reader.invalid('its padding has the wrong length');
  reader.zerosToEnd();
  return { createdAtMs, hostName, programVersion, archives, attributes };
}

/** Whether `name` can name an archive: it becomes a file's name at restore, so no slash, no control character, no leading dot. */
export function isArchiveName(name: string): boolean {
  const bytes = Buffer.byteLength(name);
  if (bytes === 0 || bytes > limits.archiveNameBytesMax || name.startsWith('.') || name.includes('/')) return false;
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0x20 || code === 0x7f) return false;
  }
  return name.isWellFormed();
}
