// Which runs of which files each pack serves, so that every pack is fetched once, whatever the order of the archives' bytes.
import type { RunTable } from '../read/run-table.ts';

/** Runs of up to 65,535 files by pack; 10 bytes a run. */
export class PackPlan {
  /** Packs in the order in which the files first need them. */
  readonly packs: Float64Array;
  readonly #starts: Uint32Array;
  readonly #targets: Uint16Array;
  readonly #runs: Uint32Array;

  constructor(tables: readonly RunTable[]) {
    const places = new Map<number, number>();
    const total = tables.reduce((sum, table) => sum + table.length, 0);
    const placeOfUse = new Uint32Array(total);
    let use = 0;
    for (const table of tables) {
      for (let run = 0; run < table.length; run++) {
        const pack = table.packAt(run);
        const known = places.get(pack);
        placeOfUse[use++] = known ?? places.size;
        if (known === undefined) places.set(pack, places.size);
      }
    }
    this.packs = Float64Array.from(places.keys());
    this.#starts = new Uint32Array(places.size + 1);
    for (const place of placeOfUse) this.#starts[place + 1] = (this.#starts[place + 1] ?? 0) + 1;
    for (let place = 0; place < places.size; place++) {
      this.#starts[place + 1] = (this.#starts[place + 1] ?? 0) + (this.#starts[place] ?? 0);
    }
    this.#targets = new Uint16Array(total);
    this.#runs = new Uint32Array(total);
    const cursor = this.#starts.slice(0, places.size);
    use = 0;
    for (const [target, table] of tables.entries()) {
      for (let run = 0; run < table.length; run++) {
        const place = placeOfUse[use++] ?? 0;
        const at = cursor[place] ?? 0;
        this.#targets[at] = target;
        this.#runs[at] = run;
        cursor[place] = at + 1;
      }
    }
  }

  /** What the pack at `index` of `packs` serves: the files, and of each the numbers of its runs, ascending. */
  *uses(index: number): Generator<{ readonly target: number; readonly runs: Uint32Array }> {
    const end = this.#starts[index + 1] ?? 0;
    for (let at = this.#starts[index] ?? 0; at < end; ) {
      const target = this.#targets[at] ?? 0;
      const first = at;
      while (at < end && this.#targets[at] === target) at++;
      yield { target, runs: this.#runs.subarray(first, at) };
    }
  }
}
