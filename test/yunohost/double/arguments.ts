// The command line as argparse reads it: global options anywhere, greedy `*` options, exit 2 for what does not fit.
import { UsageError } from './errors.ts';

export interface GlobalOptions {
  readonly outputAs: 'json' | 'plain' | 'none' | undefined;
  readonly debug: boolean;
  readonly quiet: boolean;
  readonly timeoutSeconds: number | undefined;
  readonly words: readonly string[];
}

/** Takes the global options out of argv, wherever they stand. */
export function parseGlobal(argv: readonly string[]): GlobalOptions {
  const rest = [...argv];
  const words: string[] = [];
  let outputAs: GlobalOptions['outputAs'];
  let timeoutSeconds: number | undefined;
  let [debug, quiet, version] = [false, false, false];
  const takeValue = (word: string, equals: string | undefined): string => {
    const value = equals ?? rest.shift();
    if (value === undefined) throw new UsageError(`argument ${word}: expected one argument`);
    return value;
  };
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    const [, name = word, equals] = /^(--[a-z-]+)=(.*)$/s.exec(word) ?? [];
    if (name === '--output-as') {
      const value = takeValue(name, equals);
      if (value !== 'json' && value !== 'plain' && value !== 'none') {
        throw new UsageError(`argument --output-as: invalid choice: '${value}' (choose from 'json', 'plain', 'none')`);
      }
      outputAs = value;
    } else if (name === '--timeout') {
      const value = takeValue(name, equals);
      if (!/^-?\d+$/.test(value)) throw new UsageError(`argument --timeout: invalid int value: '${value}'`);
      timeoutSeconds = Number(value);
    } else if (word === '--debug') debug = true;
    else if (word === '--quiet') quiet = true;
    else if (word === '--version') version = true;
    else if (word === '--json') outputAs = 'json';
    else if (word === '--plain') outputAs = 'plain';
    else words.push(word);
  }
  return { outputAs, debug, quiet, timeoutSeconds, words: version ? ['tools', 'versions'] : words };
}

/** One option of a command: how it is written, and whether it stands alone, takes one value, or as many as follow. */
export interface OptionRow {
  readonly names: readonly string[];
  readonly takes: 'nothing' | 'one' | 'many' | 'maybe';
}

export interface ArgumentRows {
  readonly options?: readonly OptionRow[];
  /** Positional arguments: `name`, `name?`, `name*`, `name+`. */
  readonly positional?: readonly string[];
}

/** What a command was given: by the long name of each option without its dashes, and by positional name. */
export class Arguments {
  readonly #values: Map<string, readonly string[]>;

  constructor(values: Map<string, readonly string[]>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  one(name: string): string | undefined {
    return this.#values.get(name)?.[0];
  }

  required(name: string): string {
    return this.one(name) ?? '';
  }

  many(name: string): readonly string[] | undefined {
    return this.#values.get(name);
  }
}

/** Reads a command’s own words. @throws UsageError as argparse complains. */
export function parseArguments(words: readonly string[], rows: ArgumentRows): Arguments {
  const values = new Map<string, readonly string[]>();
  const positional: string[] = [];
  const rest = [...words];
  const isOption = (word: string) => /^-/.test(word) && !/^-\d+$/.test(word);
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (!isOption(word)) {
      positional.push(word);
      continue;
    }
    const [, name = word, equals] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
    const row = rows.options?.find((option) => option.names.includes(name));
    if (row === undefined) throw new UsageError(`unrecognized arguments: ${word}`);
    const key = (row.names.at(-1) ?? name).replace(/^-+/, '');
    if (equals !== undefined) values.set(key, [equals]);
    else if (row.takes === 'nothing') values.set(key, []);
    else if (row.takes === 'many') {
      const taken: string[] = [];
      for (let next = rest[0]; next !== undefined && !isOption(next); next = rest[0]) taken.push(rest.shift() ?? '');
      values.set(key, taken);
    } else {
      const next = rest[0];
      const isMissing = next === undefined || isOption(next);
      if (isMissing && row.takes === 'one')
        throw new UsageError(`argument ${row.names.join('/')}: expected one argument`);
      values.set(key, isMissing ? [] : [rest.shift() ?? '']);
    }
  }
  takePositional(positional, rows.positional ?? [], values);
  return new Arguments(values);
}

function takePositional(given: string[], names: readonly string[], values: Map<string, readonly string[]>): void {
  for (const name of names) {
    const bare = name.replace(/[?*+]$/, '');
    if (/[*+]$/.test(name)) {
      if (name.endsWith('+') && given.length === 0)
        throw new UsageError(`the following arguments are required: ${bare}`);
      values.set(bare, given.splice(0));
    } else {
      const value = given.shift();
      if (value !== undefined) values.set(bare, [value]);
      else if (!name.endsWith('?')) throw new UsageError(`the following arguments are required: ${bare}`);
    }
  }
  if (given.length > 0) throw new UsageError(`unrecognized arguments: ${given.join(' ')}`);
}
