// What damaged packs take with them: snapshots, archives, and through the catalogue the members.
import type { Recipe } from '../../format/recipe.ts';
import { CatalogueReader } from '../read/catalogue-reader.ts';
import { GrowingUint32 } from '../read/growing-array.ts';
import { loadRuns } from '../read/load-runs.ts';
import type { PackReader } from '../read/pack-reader.ts';
import type { RunTable } from '../read/run-table.ts';
import type { AffectedArchive, CheckCounters } from './check-report.ts';
import { attempt, type DistinctArchive } from './check-snapshots.ts';
import type { Findings } from './findings.ts';
import type { PackFactsTable } from './pack-facts.ts';

const membersShownMax = 100;

/** Looks at every archive again, and tells `findings` what each damaged pack means for it. @throws network errors. */
export async function findAffected(
  archives: readonly DistinctArchive[],
  packs: PackReader,
  facts: PackFactsTable,
  findings: Findings,
  counters: CheckCounters,
): Promise<void> {
  Object.assign(counters, { step: 'damage', done: 0, total: archives.length });
  for (const distinct of archives) {
    await new ArchiveDamage(distinct, packs, facts, findings).run();
    counters.done++;
  }
}

interface LostMembers {
  readonly names: string[];
  total: number;
}

class ArchiveDamage {
  readonly #distinct: DistinctArchive;
  readonly #packs: PackReader;
  readonly #facts: PackFactsTable;
  readonly #findings: Findings;

  constructor(distinct: DistinctArchive, packs: PackReader, facts: PackFactsTable, findings: Findings) {
    this.#distinct = distinct;
    this.#packs = packs;
    this.#facts = facts;
    this.#findings = findings;
  }

  async run(): Promise<void> {
    const { recipe, catalogue } = this.#distinct.archive;
    const runs = await this.#load(recipe, 'recipe');
    const listed = catalogue === undefined ? undefined : await this.#load(catalogue, 'catalogue');
    if (listed !== undefined) {
      for (const pack of this.#damagedPacks(listed, this.#damagedRuns(listed)))
        this.#affect(pack, 'catalogue', undefined);
    }
    if (runs === undefined) return;
    const damaged = this.#damagedRuns(runs);
    if (damaged.length === 0) return;
    const members = catalogue === undefined ? undefined : await this.#members(runs, damaged);
    for (const pack of this.#damagedPacks(runs, damaged)) {
      this.#affect(
        pack,
        'contents',
        members === undefined ? undefined : (members.get(pack) ?? { names: [], total: 0 }),
      );
    }
  }

  /** The runs; when their own packs are damaged, that is what those packs take. */
  async #load(recipe: Recipe, lost: 'recipe' | 'catalogue'): Promise<RunTable | undefined> {
    return await attempt(
      () => loadRuns(this.#packs, recipe),
      () => {
        const packs = new Set(recipe.runs.map((run) => run.pack));
        for (const pack of packs) if (this.#findings.isPackDamaged(pack)) this.#affect(pack, lost, undefined);
      },
    );
  }

  #damagedRuns(runs: RunTable): GrowingUint32 {
    const damaged = new GrowingUint32();
    for (let run = 0; run < runs.length; run++) {
      // A pack with a fault is damaged; of a pack that only has holes, only the runs over the holes are.
      if (!this.#findings.isPackDamaged(runs.packAt(run))) continue;
      if (this.#findings.isPackReadable(runs.packAt(run)) && this.#facts.faultOf(runs, run) === undefined) continue;
      damaged.push(run);
    }
    return damaged;
  }

  #damagedPacks(runs: RunTable, damaged: GrowingUint32): Set<number> {
    return new Set([...damaged.values()].map((run) => runs.packAt(run)));
  }

  /** The members that damaged runs touch, by pack; undefined when the catalogue cannot be read. */
  async #members(runs: RunTable, damaged: GrowingUint32): Promise<Map<number, LostMembers> | undefined> {
    const byPack = new Map<number, LostMembers>();
    const walk = async (): Promise<Map<number, LostMembers>> => {
      let first = 0;
      for await (const member of new CatalogueReader(this.#packs, this.#distinct.archive).members()) {
        const start = member.headerOffset;
        const end = start + member.headerBytes + member.sizeBytes;
        while (first < damaged.length && runs.endAt(damaged.at(first)) <= start) first++;
        const seen = new Set<number>();
        for (let at = first; at < damaged.length && runs.startAt(damaged.at(at)) < end; at++) {
          seen.add(runs.packAt(damaged.at(at)));
        }
        for (const pack of seen) noteMember(byPack, pack, member.name);
      }
      return byPack;
    };
    return await attempt(walk, () => undefined);
  }

  #affect(pack: number, lost: AffectedArchive['lost'], members: LostMembers | undefined): void {
    const { archive, snapshots } = this.#distinct;
    this.#findings.affect(pack, {
      archive: archive.name,
      snapshots: [...snapshots].sort((a, b) => a - b),
      lost,
      members: members?.names,
      membersTotal: members?.total,
    });
  }
}

function noteMember(byPack: Map<number, LostMembers>, pack: number, name: string): void {
  const known = byPack.get(pack) ?? { names: [], total: 0 };
  byPack.set(pack, known);
  known.total++;
  if (known.names.length < membersShownMax) known.names.push(name);
}
