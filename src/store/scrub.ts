// Scrub: reads every byte of a repository and verifies it without a key. What is damaged is moved to quarantine and marked
// lost; nothing is deleted. It can be stopped anywhere and goes on where it stopped.
import { setTimeout as sleep } from 'node:timers/promises';
import { equalBytes } from '../bytes/hex.ts';
import type { FolderRepository } from './folder-repository.ts';
import type { PackRecord, SnapshotRecord } from './metadata-store.ts';
import { packKey, snapshotKey } from './object-keys.ts';
import { packRecordOf, recordLostPack } from './record-objects.ts';
import type { RepositoryContext } from './repository-context.ts';
import { decodeTally, newTally, type ScrubReport, type ScrubTally } from './scrub-report.ts';
import { scrubSmallObjects } from './scrub-small.ts';
import { scrubStrangers } from './scrub-strangers.ts';
import { verifyPack, verifySnapshot } from './verify-object.ts';

export interface ScrubProgress {
  readonly objectsChecked: number;
  readonly bytesChecked: number;
  /** All bytes there are to check, as they were at the start. */
  readonly bytesTotal: number;
  readonly damaged: number;
}

export interface ScrubRequest {
  /** Reads at most so many bytes a second; undefined: as fast as it can. */
  readonly bytesPerSecond?: number;
  /** Begins anew, also when an earlier scrub was stopped half-way. */
  readonly restart?: boolean;
  /** Stops the scrub at its next object; the report then has no end. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ScrubProgress) => void;
}

/** Objects between two notes of how far it came: an interrupted scrub repeats at most these. */
const objectsPerNote = 64;
const pageRows = 256;
const phases = ['small', 'snapshots', 'packs', 'strangers'] as const;
type Phase = (typeof phases)[number];

class Scrub {
  readonly #context: RepositoryContext;
  readonly #request: ScrubRequest;
  readonly #tally: ScrubTally;
  readonly #bytesTotal: number;
  #phase: Phase;
  #number: number;
  #sinceNote = 0;

  constructor(
    context: RepositoryContext,
    request: ScrubRequest,
    bytesTotal: number,
    from: { readonly tally: ScrubTally; readonly phase: Phase; readonly number: number },
  ) {
    this.#context = context;
    this.#request = request;
    this.#bytesTotal = bytesTotal;
    this.#tally = from.tally;
    this.#phase = from.phase;
    this.#number = from.number;
  }

  get #isStopped(): boolean {
    return this.#request.signal?.aborted ?? false;
  }

  async #note(): Promise<void> {
    this.#sinceNote = 0;
    const record = {
      startedAtMs: this.#tally.startedAtMs,
      phase: this.#phase,
      number: this.#number,
      report: JSON.stringify(this.#tally),
    };
    await this.#context.write((change) => change.putScrub(this.#context.id, record));
  }

  async #checked(number: number, bytes: number): Promise<void> {
    this.#tally.objectsChecked++;
    this.#tally.bytesChecked += bytes;
    this.#number = number;
    this.#request.onProgress?.({
      objectsChecked: this.#tally.objectsChecked,
      bytesChecked: this.#tally.bytesChecked,
      bytesTotal: this.#bytesTotal,
      damaged: this.#tally.damage.length,
    });
    if (++this.#sinceNote >= objectsPerNote) await this.#note();
  }

  async #slowDown(bytes: number): Promise<void> {
    const { bytesPerSecond } = this.#request;
    if (bytesPerSecond !== undefined) await sleep((bytes * 1000) / bytesPerSecond);
  }

  async run(): Promise<ScrubReport> {
    for (const phase of phases.slice(phases.indexOf(this.#phase))) {
      if (phase !== this.#phase) {
        this.#phase = phase;
        this.#number = 0;
        await this.#note();
      }
      if (phase === 'small') await scrubSmallObjects(this.#context, this.#tally);
      else if (phase === 'snapshots') await this.#snapshots();
      else if (phase === 'packs') await this.#packs();
      else await scrubStrangers(this.#context, this.#tally);
      if (this.#isStopped) {
        await this.#note();
        return { ...this.#tally, finishedAtMs: undefined };
      }
    }
    return await this.#finish();
  }

  async #finish(): Promise<ScrubReport> {
    const finishedAtMs = this.#context.environment.nowMs();
    const { objectsChecked, bytesChecked, damage, strangers } = this.#tally;
    await this.#context.write(async (change) => {
      await change.putScrub(this.#context.id, undefined);
      await change.addAudit({
        atMs: finishedAtMs,
        repositoryId: this.#context.id,
        event: damage.length === 0 ? 'scrub' : 'scrub found damage',
        text: `${objectsChecked} objects, ${bytesChecked} bytes, ${damage.length} damaged, ${strangers.length} strangers`,
      });
    });
    return { ...this.#tally, finishedAtMs };
  }

  async #snapshots(): Promise<void> {
    const snapshots = await this.#context.read((view) => view.snapshots(this.#context.id));
    for (const record of snapshots) {
      if (record.number <= this.#number || record.state !== 'whole') continue;
      if (this.#isStopped) return;
      const verdict = await verifySnapshot(this.#context, record);
      if (verdict.outcome !== 'whole') {
        await this.#loseSnapshot(record, verdict.outcome === 'missing' ? 'its file is missing' : verdict.reason);
      }
      const bytes = verdict.outcome === 'missing' ? 0 : verdict.bytes;
      await this.#slowDown(bytes);
      await this.#checked(record.number, bytes);
    }
  }

  async #loseSnapshot(seen: SnapshotRecord, reason: string): Promise<void> {
    const context = this.#context;
    const damage = await context.write(async (change) => {
      const record = await change.snapshot(context.id, seen.number);
      // Retention may have removed it meanwhile.
      if (record?.state !== 'whole') return undefined;
      const quarantinedAs = await context.objects.quarantine(snapshotKey(context.id, seen.number), context.prefix);
      await change.putSnapshot(context.id, { ...record, state: 'lost' });
      return {
        kind: 'snapshot' as const,
        number: seen.number,
        reason,
        quarantinedAs,
        repaired: false,
        neededBy: [seen.number],
      };
    });
    if (damage !== undefined) this.#tally.damage.push(damage);
  }

  async #packs(): Promise<void> {
    for (;;) {
      const page = await this.#context.read((view) => view.packs(this.#context.id, this.#number + 1, pageRows));
      if (page.length === 0) return;
      for (const record of page) {
        if (this.#isStopped) return;
        if (record.state === 'whole' || record.state === 'holed') await this.#checkPack(record);
        else this.#number = record.number;
      }
    }
  }

  async #checkPack(record: PackRecord): Promise<void> {
    const verdict = await verifyPack(this.#context, record, (bytes) => this.#slowDown(bytes));
    if (verdict.outcome !== 'whole') {
      await this.#losePack(record, verdict.outcome === 'missing' ? 'its file is missing' : verdict.reason);
    } else if (verdict.ends !== undefined) {
      const { header, trailer, fileBytes } = verdict.ends;
      await this.#correctRecord(record, packRecordOf(header, trailer, fileBytes));
    }
    await this.#checked(record.number, verdict.outcome === 'missing' ? 0 : verdict.bytes);
  }

  /** The file proves itself: where its record differs, the record was damaged. */
  async #correctRecord(seen: PackRecord, right: PackRecord): Promise<void> {
    const isRight =
      seen.state === right.state &&
      seen.fileBytes === right.fileBytes &&
      seen.prefixBytes === right.prefixBytes &&
      seen.receivedAtMs === right.receivedAtMs &&
      equalBytes(seen.sha256, right.sha256);
    if (isRight) return;
    const context = this.#context;
    await context.write(async (change) => {
      const record = await change.pack(context.id, seen.number);
      if (record === undefined || record.revision !== right.revision || record.state !== seen.state) return;
      await change.putPack(context.id, { ...right, condemnedAtMs: record.condemnedAtMs });
      context.forgetPacks();
      const reason = 'its record differed from its file and was corrected';
      this.#tally.damage.push({
        kind: 'records',
        number: seen.number,
        reason,
        quarantinedAs: undefined,
        repaired: true,
        neededBy: [],
      });
    });
  }

  async #losePack(seen: PackRecord, reason: string): Promise<void> {
    const context = this.#context;
    const key = packKey(context.id, seen.number, seen.revision);
    const damage = await context.write(async (change) => {
      const record = await change.pack(context.id, seen.number);
      // Retention may have removed it, or a push healed it, meanwhile.
      const isSame = record?.revision === seen.revision && (record.state === 'whole' || record.state === 'holed');
      if (record === undefined || !isSame) return undefined;
      const quarantinedAs = await context.objects.quarantine(key, context.prefix);
      const snapshots = await change.snapshots(context.id);
      const neededBy = snapshots
        .filter((one) => one.state !== 'deleting' && one.packs.has(seen.number))
        .map((one) => one.number);
      // What no snapshot needs, nobody has to heal; a push that is about to name it is told to send it again.
      if (neededBy.length > 0) await recordLostPack(change, context, record);
      else {
        await change.deletePack(context.id, seen.number);
        context.forgetPacks();
      }
      return { kind: 'pack' as const, number: seen.number, reason, quarantinedAs, repaired: false, neededBy };
    });
    if (damage !== undefined) this.#tally.damage.push(damage);
  }
}

/**
 * Reads and verifies everything in a repository, going on where an interrupted scrub stopped. Hold the `maintenance` lock
 * to keep a second one out. @throws NOT_FOUND, IO.
 */
export async function scrubRepository(repository: FolderRepository, request: ScrubRequest = {}): Promise<ScrubReport> {
  const { context } = repository;
  const { earlier, bytesTotal } = await context.read(async (view) => ({
    earlier: request.restart === true ? undefined : await view.scrub(context.id),
    bytesTotal: (await context.state(view)).storedBytes,
  }));
  const tally = earlier === undefined ? undefined : decodeTally(earlier.report);
  const phase = phases.find((one) => one === earlier?.phase);
  const from =
    tally === undefined || phase === undefined || earlier === undefined
      ? { tally: newTally(context.environment.nowMs()), phase: phases[0], number: 0 }
      : { tally, phase, number: earlier.number };
  return await new Scrub(context, request, bytesTotal, from).run();
}
