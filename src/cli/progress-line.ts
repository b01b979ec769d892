// One calm line for long work: drawn anew on a terminal, and gone at its end; in a log a line now and then.
import type { Output } from './output.ts';
import { showBytes, showNumber, showPercent, showRate, showTimeLeft } from './show.ts';
import type { World } from './world.ts';

/** What is known of the work at one moment. */
export interface ProgressState {
  /** What is being done: `Pushing`. */
  readonly what: string;
  readonly done: number;
  /** Undefined when it is not known how much there is. */
  readonly total: number | undefined;
  /** What done and total count; bytes when left out. */
  readonly unit?: string;
  /** `3 of 9 archives`. */
  readonly part?: string | undefined;
  readonly sentBytes?: number | undefined;
}

export interface Progress {
  /** Takes the line away. */
  stop(): void;
}

const drawEveryMs = 150;
const logEveryMs = 30_000;
/** The speed shown is that of about the last so many milliseconds. */
const memoryMs = 8_000;
const columnsDefault = 80;

type ProgressWorld = Pick<World, 'stderr' | 'environment' | 'monotonicMs'>;

/** Smoothed speed, in units a second. */
class Speed {
  #startedMs = 0;
  #at: { ms: number; done: number } | undefined;
  #perMs: number | undefined;

  update(nowMs: number, done: number): number | undefined {
    const before = this.#at;
    if (before === undefined) {
      this.#at = { ms: nowMs, done };
      this.#startedMs = nowMs;
      return undefined;
    }
    const passedMs = nowMs - before.ms;
    if (passedMs >= 50) {
      const current = Math.max(0, done - before.done) / passedMs;
      // At first the plain mean: a slow first moment must not weigh for the whole memory.
      const share = Math.max(1 - Math.exp(-passedMs / memoryMs), passedMs / (nowMs - this.#startedMs));
      this.#perMs = this.#perMs === undefined ? current : this.#perMs + (current - this.#perMs) * share;
      this.#at = { ms: nowMs, done };
    }
    return this.#perMs === undefined ? undefined : this.#perMs * 1000;
  }
}

/** The line's parts, the most important first. */
export function describeProgress(state: ProgressState, perSecond: number | undefined): string[] {
  const { what, done, total, unit, part, sentBytes } = state;
  const isBytes = unit === undefined;
  const show = (value: number): string => (isBytes ? showBytes(value) : showNumber(Math.round(value)));
  const suffix = isBytes ? '' : ` ${unit}`;
  const parts = [what];
  if (total === undefined) parts.push(`${show(done)}${suffix}`);
  else parts.push(`${showPercent(Math.min(done, total), total)}`, `${show(done)} of ${show(total)}${suffix}`);
  if (perSecond !== undefined) parts.push(isBytes ? showRate(perSecond) : `${show(perSecond)}${suffix}/s`);
  if (sentBytes !== undefined) parts.push(`sent ${showBytes(sentBytes)}`);
  if (total !== undefined && perSecond !== undefined && perSecond > 0 && done < total) {
    parts.push(`${showTimeLeft(((total - done) / perSecond) * 1000)} left`);
  }
  if (part !== undefined) parts.push(part);
  return parts;
}

/** As many parts as fit into `columns`, the less important ones left out first. */
export function fitLine(parts: readonly string[], columns: number): string {
  let line = '';
  for (const part of parts) {
    const longer = line === '' ? part : `${line}  ${part}`;
    if ([...longer].length <= columns) line = longer;
  }
  return line;
}

/** Whether stderr is a terminal that a line can be drawn on again. */
const canRedraw = ({ stderr, environment }: ProgressWorld): boolean =>
  stderr.isTTY === true && environment['TERM'] !== 'dumb';

/** Shows what `read` tells, until stopped. Nothing with --quiet or --json. */
export function startProgress(world: ProgressWorld, output: Output, read: () => ProgressState): Progress {
  if (output.mode.quiet || output.mode.json) return { stop: () => undefined };
  const { stderr } = world;
  const write = (text: string): void => {
    if (!stderr.destroyed && stderr.writable) stderr.write(text);
  };
  const speed = new Speed();
  const next = (): string[] => {
    const state = read();
    return describeProgress(state, speed.update(world.monotonicMs(), state.done));
  };
  next();
  if (!canRedraw(world)) {
    const timer = setInterval(() => write(`fallback: ${next().join(', ')}\n`), logEveryMs);
    timer.unref();
    return { stop: () => clearInterval(timer) };
  }
  let isDrawn = false;
  const clear = (): void => {
    if (isDrawn) write('\r\x1b[K');
    isDrawn = false;
  };
  const draw = (): void => {
    write(`\r\x1b[K${fitLine(next(), (stderr.columns || columnsDefault) - 1)}`);
    isDrawn = true;
  };
  output.setBeforeLine(clear);
  const timer = setInterval(draw, drawEveryMs);
  timer.unref();
  return {
    stop: () => {
      clearInterval(timer);
      clear();
      output.setBeforeLine(undefined);
    },
  };
}
