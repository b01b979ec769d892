// Operation logs in /var/log/yunohost/operations: one for each command that changes something, kept for `log list`.
import { readdirSync } from 'node:fs';
import type { Log } from './output.ts';
import { Server } from './server.ts';

const folder = '/var/log/yunohost/operations';

/** A log of one operation; nothing is written before start(), as validation errors leave none. */
export class Operation {
  readonly server: Server;
  readonly #own: Server;
  readonly #kind: string;
  #name: string | undefined;
  #lines: string[] = [];

  constructor(server: Server, kind: string) {
    this.#own = server;
    this.#kind = kind;
    const log: Log = (level, message) => {
      this.#lines.push(`${new Date(server.nowMs()).toISOString()}: ${level} - ${message}\n`);
      server.log(level, message);
    };
    this.server = new Server({ root: server.root, nowMs: server.nowMs, log, strike: server.strike });
  }

  readonly start = (): void => {
    if (this.#name !== undefined) return;
    this.#name = `${this.#own.stamp()}-${this.#kind}`;
    this.#own.write(`${folder}/${this.#name}.yml`, `operation: ${this.#kind}\nstarted_at: ${this.#own.stamp()}\n`);
  };

  /** Closes the log; a failure is named in an INFO line on stdout (section 7). */
  close(error?: string): void {
    if (this.#name === undefined) return;
    const quoted = error === undefined ? 'null' : JSON.stringify(error);
    const text = `operation: ${this.#kind}\nsuccess: ${error === undefined}\nerror: ${quoted}\n`;
    this.#own.write(`${folder}/${this.#name}.yml`, text);
    this.#own.write(`${folder}/${this.#name}.log`, this.#lines.join(''));
    if (error === undefined) return;
    const kind = this.#kind.replaceAll('_', ' ');
    this.#own.log(
      'INFO',
      `The operation '${kind}' could not be completed. Please share the full log of this operation using the command 'yunohost log share ${this.#name}' to get help`,
    );
  }
}

/** `log list`: names of all operations, the newest last. */
export function listOperations(server: Server): string[] {
  if (!server.has(folder)) return [];
  return readdirSync(server.path(folder))
    .filter((file) => file.endsWith('.yml'))
    .map((file) => file.slice(0, -4))
    .sort();
}

/** `log show NAME`: its lines. */
export function operationLog(server: Server, name: string): string[] {
  return server
    .readOr(`${folder}/${name}.log`, '')
    .split('\n')
    .filter((line) => line !== '');
}
