// Questions on a terminal: one line, shown or not. Everything typed stays in this process.
import { FallbackError } from '../errors/fallback-error.ts';
import type { World } from './world.ts';

type AskWorld = Pick<World, 'stdin' | 'stderr'>;

/** Whether a person can be asked: both the keyboard and the screen are there. */
export const canAsk = ({ stdin, stderr }: AskWorld): boolean => stdin.isTTY === true && stderr.isTTY === true;

const interrupted = (): FallbackError =>
  new FallbackError('INTERRUPTED', 'The question was not answered. Nothing was changed.');

/** Takes what was typed apart, key by key, until the line ends. */
class TypedLine {
  #text: string[] = [];

  /** @returns the line once Enter ends it. @throws INTERRUPTED on Ctrl-C, and on Ctrl-D in an empty line. */
  type(keys: string): string | undefined {
    for (const key of keys) {
      if (key === '\r' || key === '\n') return this.#text.join('');
      if (key === '\x03' || (key === '\x04' && this.#text.length === 0)) throw interrupted();
      if (key === '\x7f' || key === '\b') this.#text.pop();
      else if (key === '\x15') this.#text = [];
      else if (key >= ' ' || key === '\t') this.#text.push(key === '\t' ? ' ' : key);
    }
    return undefined;
  }
}

/** Asks for a line that is not shown while it is typed. @throws INTERRUPTED. */
export async function askSecret(world: AskWorld, question: string): Promise<string> {
  const { stdin, stderr } = world;
  stderr.write(question);
  stdin.setEncoding('utf8');
  stdin.setRawMode(true);
  const line = new TypedLine();
  try {
    return await new Promise<string>((resolve, reject) => {
      const settle = (act: () => void): void => {
        stdin.off('data', onData);
        stdin.off('end', onEnd);
        act();
      };
      const onData = (keys: string | Buffer): void => {
        try {
          const text = line.type(String(keys));
          if (text !== undefined) settle(() => resolve(text));
        } catch (error) {
          settle(() => reject(error));
        }
      };
      const onEnd = (): void => settle(() => reject(interrupted()));
      stdin.on('data', onData);
      stdin.on('end', onEnd);
      stdin.resume();
    });
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

/** Asks for a line that is shown. @throws INTERRUPTED. */
export async function askLine(world: AskWorld, question: string, signal: AbortSignal): Promise<string> {
  const { createInterface } = await import('node:readline/promises');
  const lines = createInterface({ input: world.stdin, output: world.stderr });
  const closed = new Promise<never>((_, reject) => lines.once('close', () => reject(interrupted())));
  closed.catch(() => undefined);
  try {
    return await Promise.race([lines.question(question, { signal }), closed]);
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw interrupted();
    throw error;
  } finally {
    lines.close();
  }
}
