// Checks every different archive: its recipe, that its runs lie in their packs, its catalogue, and the closure of its snapshots.
import { PackRanges } from '../../format/pack-ranges.ts';
import type { Recipe } from '../../format/recipe.ts';
import { CatalogueReader } from '../read/catalogue-reader.ts';
import { loadRuns } from '../read/load-runs.ts';
import type { PackReader } from '../read/pack-reader.ts';
import type { RunTable } from '../read/run-table.ts';
import type { CheckCounters, SurplusPacks } from './check-report.ts';
import { attempt, type DistinctArchive, type OpenedSnapshots } from './check-snapshots.ts';
import type { Findings } from './findings.ts';
import type { PackFactsTable } from './pack-facts.ts';

/** Checks all archives and closures. @returns the packs that snapshots name for nothing. @throws network errors. */
export async function checkArchives(
  opened: OpenedSnapshots,
  packs: PackReader,
  facts: PackFactsTable,
  findings: Findings,
  counters: CheckCounters,
  signal: AbortSignal | undefined,
): Promise<SurplusPacks[]> {
  Object.assign(counters, { step: 'archives', done: 0, total: opened.archives.length });
  for (const distinct of opened.archives) {
    signal?.throwIfAborted();
    await new ArchiveCheck(distinct, packs, facts, findings).run();
    counters.done++;
  }
  return checkClosure(opened, findings);
}

class ArchiveCheck {
  readonly #distinct: DistinctArchive;
  readonly #packs: PackReader;
  readonly #facts: PackFactsTable;
  readonly #findings: Findings;
  readonly #needed = new Set<number>();

  constructor(distinct: DistinctArchive, packs: PackReader, facts: PackFactsTable, findings: Findings) {
    this.#distinct = distinct;
    this.#packs = packs;
    this.#facts = facts;
    this.#findings = findings;
  }

  async run(): Promise<void> {
    const { archive } = this.#distinct;
    const isWhole = await this.#recipe(archive.recipe);
    const { catalogue } = archive;
    const isListed = catalogue === undefined || (await this.#recipe(catalogue));
    if (isWhole && isListed) this.#distinct.needed = PackRanges.fromNumbers(this.#needed);
    if (catalogue === undefined || !isListed) return;
    await attempt(
      async () => {
        for await (const member of new CatalogueReader(this.#packs, archive).members()) void member;
      },
      (error) => this.#findings.addError(error, this.#place('catalogue')),
    );
  }

  #place(lost: 'recipe' | 'catalogue') {
    const { archive, snapshots } = this.#distinct;
    const affected = [{ archive: archive.name, snapshots, lost, members: undefined, membersTotal: undefined }];
    return { archive: archive.name, snapshot: snapshots[0], affected };
  }

  /** @returns whether its runs could be read. */
  async #recipe(recipe: Recipe): Promise<boolean> {
    for (const { pack } of recipe.runs) this.#needed.add(pack);
    const lost = recipe === this.#distinct.archive.recipe ? 'recipe' : 'catalogue';
    const runs = await attempt(
      () => loadRuns(this.#packs, recipe),
      (error) => this.#findings.addError(error, this.#place(lost)),
    );
    if (runs === undefined) return false;
    this.#runs(runs);
    return true;
  }

  #runs(runs: RunTable): void {
    for (let run = 0; run < runs.length; run++) {
      const pack = runs.packAt(run);
      this.#needed.add(pack);
      const fault = this.#facts.faultOf(runs, run);
      if (fault !== undefined) this.#findings.addPack(pack, 'DAMAGED', fault, this.#facts.has(pack));
    }
  }
}

/** A snapshot's head must name every pack that its archives need: the server's closure check sees nothing else. */
function checkClosure(opened: OpenedSnapshots, findings: Findings): SurplusPacks[] {
  const surplus: SurplusPacks[] = [];
  for (const { number, packs, archives } of opened.snapshots) {
    let needed = PackRanges.empty;
    let isKnown = true;
    for (const archive of archives) {
      if (archive.needed === undefined) isKnown = false;
      else needed = needed.union(archive.needed);
    }
    const missing = needed.minus(packs);
    if (!missing.isEmpty) {
      const message = `Snapshot ${number} needs packs that its head does not name: ${missing.toText()}.`;
      findings.add('FORMAT_INVALID', message, { snapshot: number });
    }
    const more = packs.minus(needed);
    if (isKnown && !more.isEmpty) surplus.push({ snapshot: number, packs: more });
  }
  return surplus;
}
