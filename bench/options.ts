// The bench's command line: one mode, a few options; what is left out depends on the mode.
import { parseArgs } from 'node:util';

export interface BenchOptions {
  readonly mode: string;
  /** What stands behind the mode: folders. */
  readonly operands: readonly string[];
  readonly nights: number | undefined;
  readonly scale: number | undefined;
  readonly runs: number | undefined;
  /** Names of tools, for `peers`. */
  readonly tools: readonly string[] | undefined;
  /** Sizes in GB, for `memory`. */
  readonly sizesGb: readonly number[] | undefined;
  /** Millions of chunks, for `scale` and `scale-rebuild`. */
  readonly millions: number | undefined;
  /** Packs and snapshots of the store, for `scale-server`. */
  readonly packs: number | undefined;
  readonly snapshots: number | undefined;
  /** Clients that push at once, for `fifty`. */
  readonly clients: number | undefined;
  /** Where results are written; undefined writes none. */
  readonly resultsFolder: string | undefined;
}

/** Wrong usage: the message says what is wrong. */
export class UsageError extends Error {}

function positive(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new UsageError(`--${name} takes a number above 0, not "${text}".`);
  return value;
}

function whole(name: string, text: string | undefined): number | undefined {
  const value = positive(name, text);
  if (value !== undefined && !Number.isInteger(value)) throw new UsageError(`--${name} takes a whole number.`);
  return value;
}

/** Parses the command line. @param defaultResults where results go without `--out`. @throws UsageError. */
export function parseOptions(argv: readonly string[], defaultResults: string): BenchOptions {
  try {
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        nights: { type: 'string' },
        scale: { type: 'string' },
        runs: { type: 'string' },
        tools: { type: 'string' },
        sizes: { type: 'string' },
        millions: { type: 'string' },
        packs: { type: 'string' },
        snapshots: { type: 'string' },
        clients: { type: 'string' },
        out: { type: 'string' },
        'no-out': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    return {
      mode: values.help === true ? 'help' : (positionals[0] ?? 'default'),
      operands: positionals.slice(1),
      nights: whole('nights', values.nights),
      scale: positive('scale', values.scale),
      runs: whole('runs', values.runs),
      tools: values.tools?.split(','),
      sizesGb: values.sizes?.split(',').map((text) => positive('sizes', text) ?? 1),
      millions: positive('millions', values.millions),
      packs: whole('packs', values.packs),
      snapshots: whole('snapshots', values.snapshots),
      clients: whole('clients', values.clients),
      resultsFolder: values['no-out'] === true ? undefined : (values.out ?? defaultResults),
    };
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
