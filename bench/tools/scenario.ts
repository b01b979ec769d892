// The same life of a repository for every tool: first push, nights, an unchanged night with new dates, restore, checks.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { median } from '../measure/median.ts';
import type { WorkFolder } from '../measure/work-folder.ts';
import type { Night } from '../nights/prepare-nights.ts';
import type { StepFigures, Tool } from './tool.ts';

/** What was measured, by step: `night 1`, `night 2`, …, `unchanged`, `restore`, `restore from folder`, `list`, `check`, `scrub`. */
export type Life = Map<string, StepFigures>;

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

/** Compares what a tool brought back with what it was given. @throws when a byte is wrong. */
async function compareNight(night: Night, folder: string, tool: string): Promise<void> {
  const found = new Map<string, string>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) found.set(entry.name, join(entry.parentPath, entry.name));
  for (const { name, path } of night.files) {
    const restored = found.get(name);
    if (restored === undefined || (await digestOf(restored)) !== (await digestOf(path)))
      throw new Error(`${tool} did not bring back ${name} as it was`);
  }
}

/** One repository's life. Archives always lie in one folder, as on a real server; every night it holds new files. */
export class Scenario {
  readonly #nights: readonly Night[];
  readonly #work: WorkFolder;
  readonly #archives: string;

  constructor(nights: readonly Night[], work: WorkFolder) {
    this.#nights = nights;
    this.#work = work;
    this.#archives = join(work.path, 'archives');
  }

  /** Puts a night where the tools look, and takes it away again. */
  async #withNight<Result>(night: Night, work: (archives: string) => Promise<Result>): Promise<Result> {
    const home = dirname(night.files[0]?.path ?? '');
    await rename(home, this.#archives);
    try {
      return await work(this.#archives);
    } finally {
      await rename(this.#archives, home);
    }
  }

  /** @param isCounted bytes on the wire are counted and what comes back is compared; then times mean nothing. */
  async run(tool: Tool, isCounted: boolean): Promise<Life> {
    const folder = await this.#work.folder('repository');
    const repository = await tool.open(folder, isCounted);
    const life: Life = new Map();
    try {
      for (const night of this.#nights)
        life.set(`night ${night.name}`, await this.#withNight(night, (archives) => repository.push(archives)));
      const last = this.#nights.at(-1);
      if (last === undefined) return life;
      const now = new Date();
      for (const { path } of last.files) await utimes(path, now, now);
      life.set('unchanged', await this.#withNight(last, (archives) => repository.push(archives)));
      await this.#restore(tool, life, 'restore', repository.restore, isCounted ? last : undefined);
      await this.#restore(
        tool,
        life,
        'restore from folder',
        repository.restoreFromFolder,
        isCounted ? last : undefined,
      );
      if (repository.list !== undefined) life.set('list', await repository.list());
      if (repository.check !== undefined) life.set('check', await repository.check());
      if (repository.scrub !== undefined) life.set('scrub', await repository.scrub());
    } finally {
      await repository.stop();
      await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    }
    return life;
  }

  async #restore(
    tool: Tool,
    life: Life,
    step: string,
    restore: ((into: string) => Promise<StepFigures>) | undefined,
    compareWith: Night | undefined,
  ): Promise<void> {
    if (restore === undefined) return;
    const into = join(this.#work.path, 'restored');
    await mkdir(into);
    try {
      life.set(step, await restore(into));
      if (compareWith !== undefined) await compareNight(compareWith, into, tool.name);
    } finally {
      await rm(into, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}

/** Medians of the timed lives; bytes from the counted one. */
export interface MeasuredTool {
  readonly tool: Tool;
  readonly counted: Life;
  readonly timed: readonly Life[];
}

/** The median of one figure of a step, over the timed runs; NaN when the tool has no such step. */
export function figure(measured: MeasuredTool, step: string, of: (figures: StepFigures) => number): number {
  return median(measured.timed.flatMap((life) => life.get(step) ?? []).map(of));
}

/** Runs all tools, alternating, so that a busy minute of the machine meets them all. */
export async function measureTools(
  tools: readonly Tool[],
  nights: readonly Night[],
  runs: number,
  work: WorkFolder,
  progress: (text: string) => void,
): Promise<MeasuredTool[]> {
  const scenario = new Scenario(nights, work);
  const counted: Life[] = [];
  for (const tool of tools) {
    progress(`${tool.name} ${tool.version}: counted`);
    counted.push(await scenario.run(tool, true));
  }
  const timed: Life[][] = tools.map(() => []);
  for (let run = 1; run <= runs; run++) {
    for (const [index, tool] of tools.entries()) {
      progress(`${tool.name}: run ${run} of ${runs}`);
      timed[index]?.push(await scenario.run(tool, false));
    }
  }
  return tools.map((tool, index) => ({ tool, counted: counted[index] ?? new Map(), timed: timed[index] ?? [] }));
}
