// Our own command, as an admin types it: a server process, a client paired over HTTPS.
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freePort } from '../measure/ports.ts';
import { Relay } from '../measure/relay.ts';
import { runProcess, ServerProcess } from '../measure/run-process.ts';
import { sharedFolder } from '../measure/work-folder.ts';
import { folderBytes, measureStep, type Repository, type StepFigures, type Tool } from './tool.ts';

const projectRoot = resolve(import.meta.dirname, '..', '..');
export const fallbackCommand = join(projectRoot, 'bin', 'fallback');

const programVersion = (): string => {
  const parsed: unknown = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8'));
  return typeof parsed === 'object' && parsed !== null && 'version' in parsed ? String(parsed.version) : 'unknown';
};

/** What `push --json` prints, as far as the bench reads it. */
export interface PushAnswer {
  readonly readBytes: number;
  readonly newBytes: number;
  readonly packBytesSent: number;
  readonly snapshotBytes: number;
  readonly wireSentBytes: number;
  readonly wireReceivedBytes: number;
}

export const parsePushAnswer = (stdout: string): PushAnswer =>
  JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as PushAnswer;

/** Where `pair` leaves the recovery phrase: what opens the store's folder without its server. */
export const phraseFile = (state: string): string => `${state}.phrase`;

/** A store with its server, for any number of clients. */
export class FallbackServer {
  readonly storeFolder: string;
  readonly #folder: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #port: number;
  #process: ServerProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.storeFolder = join(folder, 'store');
    this.#port = port;
    const cache = process.env['NODE_COMPILE_CACHE'] ?? join(sharedFolder(), 'compile-cache');
    this.#environment = { FALLBACK_DIR: this.storeFolder, NODE_COMPILE_CACHE: cache };
  }

  static async start(folder: string): Promise<FallbackServer> {
    const server = new FallbackServer(folder, await freePort());
    await server.listen(server.#port);
    return server;
  }

  get process(): ServerProcess {
    if (this.#process === undefined) throw new Error('the server does not run');
    return this.#process;
  }

  get environment(): Readonly<Record<string, string>> {
    return this.#environment;
  }

  async listen(port: number): Promise<void> {
    const args = ['serve', '--dir', this.storeFolder, '--listen', `127.0.0.1:${port}`, '--no-maintenance'];
    this.#process = await ServerProcess.start(
      fallbackCommand,
      args,
      port,
      join(this.#folder, 'server.log'),
      this.#environment,
      '"event":"started"',
    );
  }

  async stop(): Promise<void> {
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** Starts it again after `stop`, on the port that its clients know. */
  async startAgain(): Promise<void> {
    await this.listen(this.#port);
  }

  /** Pairs a new client: its state lies in `state`, its recovery phrase in `phraseFile(state)`. */
  async pair(name: string, state: string): Promise<void> {
    const environment = this.#environment;
    const invite = await runProcess(
      fallbackCommand,
      ['invite', '--dir', this.storeFolder, '--name', name, '--address', `127.0.0.1:${this.#port}`, '--json'],
      { environment },
    );
    const { code } = JSON.parse(invite.stdout) as { readonly code: string };
    await runProcess(
      fallbackCommand,
      ['init', code, '--state', state, '--no-passphrase', '--sheet', `${state}.sheet`],
      { environment },
    );
    const sheet = readFileSync(`${state}.sheet`, 'utf8');
    const words = [...sheet.matchAll(/\b(\d{1,2})[.)]?\s+([a-z]{3,8})\b/g)].toSorted(
      (a, b) => Number(a[1]) - Number(b[1]),
    );
    writeFileSync(phraseFile(state), words.map(([, , word]) => word).join(' '), { mode: 0o600 });
  }

  /** From now on, what clients send goes through a relay that counts it; the server moves to another port. */
  async startRelay(): Promise<Relay> {
    await this.stop();
    const port = await freePort();
    const relay = await Relay.start(this.#port, () => port);
    await this.listen(port);
    return relay;
  }
}

function makeRepository(server: FallbackServer, state: string, relay: Relay | undefined): Repository {
  const { environment } = server;
  const step = (args: string[]): ReturnType<typeof measureStep> =>
    measureStep(fallbackCommand, args, { environment }, server.process, relay);
  const alone = (args: string[]): Promise<StepFigures> => measureStep(fallbackCommand, args, { environment });
  return {
    push: async (archives) => {
      const { run, ...figures } = await step(['push', archives, '--state', state, '--json']);
      const { packBytesSent, snapshotBytes } = parsePushAnswer(run.stdout);
      return { ...figures, packBytes: packBytesSent + snapshotBytes };
    },
    restore: (into) => step(['restore', 'latest', '--state', state, '--to', into, '--quiet']),
    restoreFromFolder: (into) =>
      alone([
        ...['restore', 'latest', '--dir', server.storeFolder, '--phrase-file', phraseFile(state)],
        ...['--state', `${state}-none`, '--to', into, '--quiet'],
      ]),
    check: () => step(['check', '--state', state, '--read-data', '--quiet']),
    list: () => step(['snapshots', '--state', state]),
    scrub: () => alone(['scrub', '--dir', server.storeFolder, '--quiet']),
    storedBytes: () => folderBytes(join(server.storeFolder, 'repositories')),
    stop: async () => {
      await relay?.stop();
      await server.stop();
    },
  };
}

export function fallbackOverHttps(): Tool {
  return {
    name: 'fallback, HTTPS',
    version: programVersion(),
    async open(folder, isCounted) {
      const server = await FallbackServer.start(folder);
      const state = join(folder, 'state');
      await server.pair('bench', state);
      const relay = isCounted ? await server.startRelay() : undefined;
      return makeRepository(server, state, relay);
    },
  };
}
