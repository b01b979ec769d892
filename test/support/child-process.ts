// Processes that a test starts, reads line by line, and ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A child that runs a script of this repository. */
export class ScriptProcess {
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #closed: Promise<number | null>;
  readonly #listeners = new Set<(line: string) => void>();
  #errors = '';

  constructor(script: string, args: readonly string[]) {
    this.#child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('no pipes');
    createInterface({ input: stdout }).on('line', (line) => {
      this.lines.push(line);
      for (const listener of this.#listeners) listener(line);
    });
    stderr.on('data', (bytes: Buffer) => {
      this.#errors += bytes.toString();
    });
    this.#closed = new Promise((resolve) => this.#child.on('close', resolve));
  }

  /** Waits for a line that begins with one of `starts`. */
  async line(...starts: readonly string[]): Promise<string> {
    const isIt = (line: string): boolean => starts.some((start) => line.startsWith(start));
    const found = this.lines.find(isIt);
    if (found !== undefined) return found;
    return await Promise.race([
      new Promise<string>((resolve) => {
        this.#listeners.add((line) => {
          if (isIt(line)) resolve(line);
        });
      }),
      this.#closed.then((code) => {
        throw new Error(`ended with ${code} before "${starts.join('" or "')}": ${this.#errors}`);
      }),
    ]);
  }

  /** Ends it at once, as the kernel does when memory runs out. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  /** Waits for its own end. @throws when it ends badly. */
  async end(): Promise<void> {
    const code = await this.#closed;
    if (code !== 0) throw new Error(`ended with ${code}: ${this.#errors}`);
  }
}
