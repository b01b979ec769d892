// What a mode has to tell: tables, goals and plots on the terminal, as JSON and as SVG.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import { type Chart, drawBars, drawLines } from './plot.ts';
import { type Cell, formatNumber, formatTable } from './table.ts';

/** A number that must not be above its goal. */
export interface Goal {
  readonly what: string;
  readonly value: number;
  readonly atMost: number;
  readonly unit: string;
  readonly isMet: boolean;
}

interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

/** Collects one mode's results; prints them as they come. */
export class Report {
  readonly mode: string;
  readonly #machine: Machine;
  readonly #write: (text: string) => void;
  readonly #tables: Table[] = [];
  readonly #goals: Goal[] = [];
  readonly #notes: string[] = [];
  readonly #charts = new Map<string, string>();
  readonly #parameters: Record<string, unknown> = {};

  constructor(mode: string, machine: Machine, write: (text: string) => void) {
    this.mode = mode;
    this.#machine = machine;
    this.#write = write;
  }

  get tables(): readonly Table[] {
    return this.#tables;
  }

  get goals(): readonly Goal[] {
    return this.#goals;
  }

  /** What the run was asked to do: kept beside the numbers. */
  parameters(values: Readonly<Record<string, unknown>>): void {
    Object.assign(this.#parameters, values);
  }

  /** A line about what goes on; not kept. */
  progress(text: string): void {
    this.#write(`  … ${text}\n`);
  }

  /** A sentence that belongs to the results. */
  note(text: string): void {
    this.#notes.push(text);
    this.#write(`${text}\n`);
  }

  table(title: string, head: readonly string[], rows: readonly (readonly Cell[])[]): void {
    this.#tables.push({ title, head, rows });
    this.#write(`\n${title}\n\n${formatTable(head, rows).join('\n')}\n\n`);
  }

  goal(what: string, value: number, atMost: number, unit: string): void {
    if (Number.isFinite(value)) this.#goals.push({ what, value, atMost, unit, isMet: value <= atMost });
  }

  /** Bars, or lines where there are too many groups. */
  chart(name: string, chart: Chart, style: 'bars' | 'lines' = 'bars'): void {
    this.#charts.set(name, style === 'bars' ? drawBars(chart) : drawLines(chart));
  }

  /** Prints the goals, and writes `<mode>.json` and the plots into `folder` when one is given. */
  async finish(folder: string | undefined): Promise<void> {
    if (this.#goals.length > 0) {
      const rows = this.#goals.map(({ what, value, atMost, unit, isMet }) => [
        what,
        `${formatNumber(value)} ${unit}`.trim(),
        `${formatNumber(atMost)} ${unit}`.trim(),
        isMet ? 'met' : 'NOT MET',
      ]);
      this.#write(`\nGoals\n\n${formatTable(['goal', 'measured', 'at most', ''], rows).join('\n')}\n\n`);
    }
    if (folder === undefined) return;
    await mkdir(folder, { recursive: true });
    const results = {
      mode: this.mode,
      measuredAt: new Date().toISOString(),
      machine: this.#machine,
      parameters: this.#parameters,
      goals: this.#goals,
      notes: this.#notes,
      tables: this.#tables,
    };
    await writeFile(join(folder, `${this.mode}.json`), `${JSON.stringify(results, undefined, 1)}\n`);
    for (const [name, svg] of this.#charts) await writeFile(join(folder, `${this.mode}-${name}.svg`), svg);
    const files = [`${this.mode}.json`, ...[...this.#charts.keys()].map((name) => `${this.mode}-${name}.svg`)];
    this.#write(`Written: ${files.join(', ')}\n`);
  }
}
