// A pack on its way in: checked while it arrives, durable before it is recorded, recorded before it is acknowledged.
//   1 header, number and lease are checked   2 the file is published (fs/publish-file.ts)   3 its record is committed
// Crash before 2: nothing. Between 2 and 3, or a power cut soon after: reconcile.ts finds the file. Later: the pack is there.
import { createHash, type Hash } from 'node:crypto';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { LeaseId } from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import { decodePackHeader, type PackHeader, packHeaderBytes } from '../format/pack.ts';
import { renewLease, requireLease, useLease, wantsRenewal } from './leases.ts';
import type { LeaseRecord, MetadataWrite, PackRecord } from './metadata-store.ts';
import { packKey } from './object-keys.ts';
import type { ObjectDraft } from './object-store.ts';
import { readPackEnds } from './read-object.ts';
import { packRecordOf, recordPack, requireRepository } from './record-objects.ts';
import { type RepositoryContext, serverFull } from './repository-context.ts';
import type { Incoming } from './running-bytes.ts';
import { encodeTrailer, type ObjectTrailer } from './stored-object.ts';

/** A pack being received. After an error, or when the sender goes away, call `abort`. */
export interface PackSink {
  /** The next bytes of the file. @throws FORMAT_INVALID, CONFLICT, QUOTA_EXCEEDED, SERVER_FULL, LEASE_LOST, FENCED, IO. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends it: once this resolves, the pack survives a power cut. @throws DIGEST_MISMATCH and what `write` throws. */
  finish(sha256: Uint8Array): Promise<void>;
  /** Throws it away; safe at any time. */
  abort(): Promise<void>;
}

/** How far beyond the highest number a writer may run ahead: many uploads at once, no leaps through the number space. */
const aheadMax = 10_000;
const reserveBlock = 1_000;

function conflict(number: number, reason: string): FallbackError {
  return new FallbackError('CONFLICT', `Pack ${number} was refused: ${reason}.`, { details: { pack: number } });
}

/** What a pack under this header would do: take a free number, heal, or repeat what is there. @throws CONFLICT. */
function classify(header: PackHeader, existing: PackRecord | undefined, lease: LeaseRecord, lastPack: number) {
  const { number, revision } = header;
  if (existing === undefined) {
    if (revision !== 0) throw conflict(number, 'it heals a pack that no snapshot needs');
    if (number < lease.firstPack) throw conflict(number, 'its number belongs to an earlier push');
    if (number > lastPack + aheadMax) throw conflict(number, 'its number is too far ahead');
    return 'new';
  }
  if (existing.state === 'deleting') throw conflict(number, 'retention is removing it');
  const needsHealing = existing.state === 'lost' || existing.state === 'holed';
  if (needsHealing && revision > existing.revision) {
    // What it replaces stays in quarantine: a push heals a pack once, with all that it has.
    const isHealed = existing.revision > 0 && existing.receivedAtMs > lease.acquiredAtMs;
    if (isHealed) throw conflict(number, 'this push has healed it already');
    return 'heal';
  }
  if (existing.state === 'lost')
    throw conflict(number, `it is lost, and can only be healed by a revision above ${existing.revision}`);
  return 'repeat';
}

class PackWriter implements PackSink {
  readonly #context: RepositoryContext;
  readonly #leaseId: LeaseId;
  readonly #number: number;
  readonly #hash: Hash = createHash('sha256');
  #head: Uint8Array = new Uint8Array(0);
  #header: PackHeader | undefined;
  #draft: ObjectDraft | undefined;
  #incoming: Incoming | undefined;
  #isAborted = false;
  #receivedBytes = 0;
  #renewedAtMs: number;

  constructor(context: RepositoryContext, leaseId: LeaseId, number: number) {
    this.#context = context;
    this.#leaseId = leaseId;
    this.#number = number;
    this.#renewedAtMs = context.environment.nowMs();
  }

  #totalBytes(header: PackHeader): number {
    return packHeaderBytes + header.directoryBytes + header.bodyBytes;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#receivedBytes += bytes.byteLength;
    if (this.#header === undefined) {
      this.#head = Buffer.concat([this.#head, bytes]);
      if (this.#head.byteLength < packHeaderBytes) return;
      this.#header = await this.#begin(decodePackHeader(this.#head));
      bytes = this.#head;
      this.#head = new Uint8Array(0);
    }
    if (this.#receivedBytes > this.#totalBytes(this.#header)) {
      throw new FallbackError('FORMAT_INVALID', `Pack ${this.#number} is longer than its header says.`);
    }
    await this.#renew();
    try {
      await this.#draft?.write(bytes);
      this.#incoming?.wrote(bytes.byteLength);
    } catch (error) {
      throw serverFull(error);
    }
  }

  /** A slow upload takes longer than a lease lives. */
  async #renew(): Promise<void> {
    const nowMs = this.#context.environment.nowMs();
    const age = nowMs - this.#renewedAtMs;
    if (age >= 0 && age < this.#context.options.leaseLifetimeMs / 4) return;
    await renewLease(this.#context, this.#leaseId);
    this.#renewedAtMs = nowMs;
  }

  /** Checks the header before the rest is taken, and begins the file unless the pack is there already. */
  async #begin(header: PackHeader): Promise<PackHeader> {
    const context = this.#context;
    requireRepository(context, header.repositoryId, 'pack');
    if (header.number !== this.#number) {
      throw new FallbackError('FORMAT_INVALID', `The pack sent as ${this.#number} says that it is ${header.number}.`);
    }
    const { action, state } = await context.read(async (view) => {
      const lease = await requireLease(view, context, this.#leaseId);
      const state = await context.state(view);
      const existing = await view.pack(context.id, header.number);
      return { action: classify(header, existing, lease, state.lastPack), state };
    });
    if (action === 'repeat') return header;
    // Counted before it is asked for: else packs that are sent side by side all find the same last bytes free.
    this.#incoming = context.running.begin(context.id, this.#totalBytes(header));
    await context.requireQuota(state);
    await context.requireFreeSpace();
    if (header.number > state.document.reservedPacks) await this.#reserve(header.number);
    try {
      this.#draft = await context.objects.begin(context.prefix);
    } catch (error) {
      throw serverFull(error);
    }
    if (this.#isAborted) {
      await this.abort();
      throw new FallbackError('INTERRUPTED', `Pack ${this.#number} was given up while it began.`);
    }
    return header;
  }

  /** Before a number is used, repository.json says that it may have been: without the database it is not given again. */
  async #reserve(number: number): Promise<void> {
    await this.#context.write(async (change) => {
      const { document } = await this.#context.state(change);
      if (document.reservedPacks >= number) return;
      const reservedPacks = Math.min(limits.packNumberMax, number + reserveBlock);
      await this.#context.changeDocument(change, { reservedPacks });
    });
  }

  async finish(sha256: Uint8Array): Promise<void> {
    const digest = new Uint8Array(this.#hash.digest());
    if (!equalBytes(digest, sha256)) {
      throw new FallbackError(
        'DIGEST_MISMATCH',
        `Pack ${this.#number} did not arrive as it was sent; it was discarded.`,
      );
    }
    const header = this.#header;
    if (header === undefined || this.#receivedBytes !== this.#totalBytes(header)) {
      throw new FallbackError('FORMAT_INVALID', `Pack ${this.#number} is shorter than its header says.`);
    }
    if (this.#draft === undefined) await this.#repeat(digest);
    else await this.#store(this.#draft, header, digest);
  }

  async #repeat(digest: Uint8Array): Promise<void> {
    const { existing, lease } = await this.#context.read(async (view) => ({
      existing: await view.pack(this.#context.id, this.#number),
      lease: await requireLease(view, this.#context, this.#leaseId),
    }));
    const isSame = existing !== undefined && existing.state !== 'lost' && equalBytes(existing.sha256, digest);
    if (!isSame) throw conflict(this.#number, 'another pack is stored under its number');
    if (wantsRenewal(this.#context, lease)) await renewLease(this.#context, this.#leaseId);
  }

  async #store(draft: ObjectDraft, header: PackHeader, digest: Uint8Array): Promise<void> {
    const context = this.#context;
    let isOurs = true;
    let trailer: ObjectTrailer = { kind: 'pack', receivedAtMs: context.environment.nowMs(), sha256: digest };
    const key = packKey(context.id, header.number, header.revision);
    try {
      await draft.write(encodeTrailer(trailer));
      if ((await draft.publish(key)) === 'exists') {
        isOurs = false;
        trailer = await this.#published(header, digest);
      }
    } catch (error) {
      throw serverFull(error);
    }
    const record = packRecordOf(header, trailer, this.#totalBytes(header));
    // One durable wait a pack: its file. A new pack's record that a power cut takes is found again by it; a healed one's is not.
    const lasting = header.revision === 0 ? 'found again' : 'now';
    const replaced = await context.write(async (change) => {
      try {
        return await this.#record(change, header, record, isOurs);
      } catch (error) {
        if (isOurs) await this.#makeWay(change, header, error);
        throw error;
      }
    }, lasting);
    this.#incoming?.end();
    // The new revision is recorded: the old file is needed by nobody, and is moved, never overwritten.
    if (replaced !== undefined) {
      await context.objects.quarantine(packKey(context.id, header.number, replaced), context.prefix);
      context.forgetReplaced();
    }
  }

  /** Returns the revision whose file was replaced, if any. @param isOurs whether this upload published the file. */
  async #record(
    change: MetadataWrite,
    header: PackHeader,
    record: PackRecord,
    isOurs: boolean,
  ): Promise<number | undefined> {
    const context = this.#context;
    const lease = await requireLease(change, context, this.#leaseId);
    const state = await context.state(change);
    const existing = await change.pack(context.id, header.number);
    await useLease(change, context, lease);
    if (existing?.state !== 'lost' && existing !== undefined && equalBytes(existing.sha256, record.sha256))
      return undefined;
    const action = classify(header, existing, lease, state.lastPack);
    if (action === 'repeat') throw conflict(header.number, 'another pack is stored under its number');
    if (!isOurs && (await context.objects.stat(packKey(context.id, header.number, header.revision))) === undefined) {
      throw conflict(header.number, 'the file that an earlier push left under its number is gone');
    }
    await recordPack(change, context, record);
    if (action === 'heal') {
      await change.addAudit({
        atMs: context.environment.nowMs(),
        repositoryId: context.id,
        event: 'healed',
        text: `pack ${header.number}, revision ${header.revision}${header.hasHoles ? ', with holes' : ''}`,
      });
    }
    return existing?.state === 'holed' ? existing.revision : undefined;
  }

  /**
   * A file that came too late for its lease would keep its name from the next writer, who was given the number: it makes way. It was
   * never acknowledged, and is removed as a cut upload is: in quarantine it would count against no quota.
   */
  async #makeWay(change: MetadataWrite, { number, revision }: PackHeader, error: unknown): Promise<void> {
    if (!isFallbackError(error, 'LEASE_LOST') && !isFallbackError(error, 'FENCED')) return;
    const existing = await change.pack(this.#context.id, number);
    // The next writer's lease may have found it in time, and recorded it.
    if (existing?.revision === revision && existing.state !== 'lost') return;
    await this.#context.objects.remove([packKey(this.#context.id, number, revision)]);
  }

  /** The name is taken by a file of an upload whose end nobody saw: fine when it holds the same bytes. */
  async #published(header: PackHeader, digest: Uint8Array): Promise<ObjectTrailer> {
    const context = this.#context;
    const key = packKey(context.id, header.number, header.revision);
    const { trailer } = await readPackEnds(context.objects, key);
    if (equalBytes(trailer.sha256, digest)) {
      await context.objects.settle(key);
      return trailer;
    }
    // A healed revision that no record names was never acknowledged, and no later number can take its place: it makes way.
    await context.write(async (change) => {
      const existing = await change.pack(context.id, header.number);
      const isOrphan =
        existing === undefined ? false : existing.state === 'lost' || existing.revision !== header.revision;
      if (!isOrphan || header.revision === 0) return;
      await context.objects.quarantine(key, context.prefix);
      context.forgetReplaced();
    });
    throw conflict(header.number, 'an earlier push left another pack under its number');
  }

  async abort(): Promise<void> {
    this.#isAborted = true;
    this.#incoming?.end();
    const draft = this.#draft;
    this.#draft = undefined;
    await draft?.discard();
  }
}

/** Begins to receive a pack under `number`. @throws LEASE_LOST, FENCED, LIMIT_EXCEEDED. */
export async function beginPack(context: RepositoryContext, leaseId: LeaseId, number: number): Promise<PackSink> {
  if (!Number.isSafeInteger(number) || number < 1 || number > limits.packNumberMax) {
    throw new FallbackError('LIMIT_EXCEEDED', 'The pack’s number is out of range.');
  }
  await context.read((view) => requireLease(view, context, leaseId));
  return new PackWriter(context, leaseId, number);
}
