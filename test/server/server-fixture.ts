// A real store in a temporary folder behind a real server on loopback.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { nodeFileSystem } from '../../src/fs/node-file-system.ts';
import type { ServerLimits } from '../../src/server/server-limits.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/server/start-server.ts';
import { StoreHost } from '../../src/server/store-host.ts';
import type { ClientEnvironment } from '../../src/sync/http/client-environment.ts';
import type { ClientLimits } from '../../src/sync/http/client-limits.ts';
import { fetchCertificate } from '../../src/sync/http/fetch-certificate.ts';
import { HttpRepository, type HttpRepositoryOptions } from '../../src/sync/http/http-repository.ts';
import type { TrustedServer } from '../../src/sync/http/server-trust.ts';
import { type PairedRepository, pair, TemporaryStore } from '../support/temporary-store.ts';

export const clientEnvironment: ClientEnvironment = {
  monotonicMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await sleep(ms, undefined, { signal });
  },
  randomFraction: () => Math.random(),
};

/** Gives up within a second, for tests of failures. */
export const hastyLimits: Partial<ClientLimits> = {
  retryDelayMsMin: 5,
  retryDelayMsMax: 50,
  retryReachedMs: 300,
  retryUnreachedMs: 100,
  silenceMs: 2_000,
  connectMs: 2_000,
};

/** A running server with its store; `await using` ends it and removes the folder. */
export class ServerFixture implements AsyncDisposable {
  readonly temporary: TemporaryStore;
  readonly lines: string[] = [];
  readonly #options: Partial<ServerOptions>;
  readonly #repositories: HttpRepository[] = [];
  server: RunningServer | undefined;

  private constructor(temporary: TemporaryStore, options: Partial<ServerOptions>) {
    this.temporary = temporary;
    this.#options = options;
  }

  static async start(limits: Partial<ServerLimits> = {}, options: Partial<ServerOptions> = {}): Promise<ServerFixture> {
    const temporary = await TemporaryStore.create({ reserveFreeBytes: 0 });
    const fixture = new ServerFixture(temporary, { ...options, limits: { failedAnswerMs: 5, ...limits } });
    await fixture.listen(0);
    return fixture;
  }

  async listen(port: number): Promise<void> {
    this.server = await startServer({
      host: new StoreHost(this.temporary.store),
      folder: this.temporary.folder,
      listen: { host: '127.0.0.1', port },
      transport: { kind: 'self-signed' },
      fs: nodeFileSystem,
      environment: this.temporary.environment,
      monotonicMs: () => performance.now(),
      log: (line) => this.lines.push(line),
      ...this.#options,
    });
  }

  get port(): number {
    return this.server?.address.port ?? 0;
  }

  get address(): { host: string; port: number; certificateSha256: Uint8Array } {
    const certificateSha256 = this.server?.certificateSha256 ?? new Uint8Array(32);
    return { host: '127.0.0.1', port: this.port, certificateSha256 };
  }

  /** The repository that every store of these tests has. */
  get tenant(): PairedRepository {
    return this.temporary.paired;
  }

  async anotherTenant(): Promise<PairedRepository> {
    return await pair(this.temporary.store, 'other.example');
  }

  /** A token that may do everything in the tenant's repository. */
  async takeoverToken(): Promise<Uint8Array> {
    const token = new Uint8Array(randomBytes(32));
    await this.temporary.store.addToken(this.tenant.id, token, ['read', 'push', 'takeover'], 'takeover');
    return token;
  }

  /** The server as a client knows it. @param port another one, when a proxy stands between. */
  async trusted(port = this.port): Promise<TrustedServer> {
    const certificatePem = await fetchCertificate(this.address, clientEnvironment);
    return { host: '127.0.0.1', port, trust: { kind: 'pinned', certificatePem } };
  }

  /** A client of the tenant's repository, with the push token; ended with the fixture. */
  async open(options: Partial<HttpRepositoryOptions> = {}): Promise<HttpRepository> {
    const repository = new HttpRepository({
      server: options.server ?? (await this.trusted()),
      environment: clientEnvironment,
      repositoryId: this.tenant.id,
      token: this.tenant.pushToken,
      ...options,
    });
    this.#repositories.push(repository);
    return repository;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const repository of this.#repositories) await repository.close();
    await this.server?.stop(0);
    await this.temporary.dispose();
  }
}
