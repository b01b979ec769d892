// The shape of one command, and what all of them share. The tables are in commands-*.ts.
import type { ArgumentRows, Arguments, OptionRow } from './arguments.ts';
import { YunohostError } from './errors.ts';
import { Operation } from './operations.ts';
import type { Value } from './output.ts';
import type { Server } from './server.ts';

export interface Command extends ArgumentRows {
  readonly words: string;
  /** Takes the lock: all but those whose API verb is GET (section 1). */
  readonly locks: boolean;
  /** Undefined means that nothing is printed, not even JSON. */
  readonly run: (server: Server, given: Arguments) => Promise<Value | undefined> | Value | undefined;
}

/** An option that stands alone. */
export const flag = (...names: string[]): OptionRow => ({ names, takes: 'nothing' });
/** An option with one value. */
export const value = (...names: string[]): OptionRow => ({ names, takes: 'one' });
/** An option with any number of values: it swallows all words up to the next option. */
export const many = (...names: string[]): OptionRow => ({ names, takes: 'many' });

/** Runs a command under an operation log, which a failure closes with an INFO line that names it. */
export async function inOperation<Result>(
  server: Server,
  kind: string,
  run: (server: Server, started: () => void) => Promise<Result> | Result,
): Promise<Result> {
  const operation = new Operation(server, kind);
  try {
    const result = await run(operation.server, operation.start);
    operation.close();
    return result;
  } catch (error) {
    operation.close(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** Checks an argument against the pattern of the actions map. @throws `Invalid argument 'NAME': …`, exit 1 (section 2). */
export function checkPattern(name: string, value: string | undefined, pattern: RegExp, text: string): void {
  if (value !== undefined && !pattern.test(value)) throw new YunohostError(`Invalid argument '${name}': ${text}`);
}
