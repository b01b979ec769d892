// A main server of the double, and a repository in memory that it pushes to: nights one after the other.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseEpoch } from '../../src/format/ids.ts';
import { newPushCounters, type PushCounters } from '../../src/sync/push/push-counters.ts';
import type { YunohostCommand } from '../../src/yunohost/command/yunohost-command.ts';
import { parseConfiguration } from '../../src/yunohost/configuration/read-configuration.ts';
import type { NightContext, NightEvent } from '../../src/yunohost/night/night-context.ts';
import { type NightResult, runNight } from '../../src/yunohost/night/run-night.ts';
import type { AccountNames } from '../../src/yunohost/stream/account-names.ts';
import { type ClientFixture, makeMemoryRepository, withSession } from '../support/client-fixture.ts';
import { restoreBytes } from '../support/restore-bytes.ts';
import { readAccounts } from './double/accounts.ts';
import { freeBytes } from './double/free-space.ts';
import type { ServerShape } from './double/seed-server.ts';
import type { Server } from './double/server.ts';
import { newRoot, smallServer } from './double/testing.ts';
import { doubleCommand } from './double-host.ts';

export const tinyApp = (id: string, sizeBytes = 40_000) => ({ id, domain: 'main.test', path: `/${id}`, sizeBytes });

export interface NightRun {
  readonly result: NightResult;
  readonly events: readonly NightEvent[];
  readonly counters: PushCounters;
}

/** Names of users and groups as the double's server knows them. */
export function doubleAccounts(server: Server): AccountNames {
  const accounts = readAccounts(server);
  return {
    userName: async (id) => accounts.userName(id) ?? '',
    groupName: async (id) => accounts.groupName(id) ?? '',
  };
}

export class NightFixture {
  readonly server: Server;
  readonly client: ClientFixture;
  readonly state: string;
  yunohost: YunohostCommand;

  private constructor(server: Server) {
    this.server = server;
    this.client = makeMemoryRepository();
    this.state = newRoot();
    this.yunohost = doubleCommand(server.root);
  }

  static async create(changes: Partial<ServerShape> = {}): Promise<NightFixture> {
    const shape = { users: ['alice'], userBytes: 20_000, apps: [tinyApp('wiki'), tinyApp('blog')] };
    return new NightFixture(await smallServer({ ...shape, ...changes }));
  }

  /** Runs one night. @param toml its configuration. */
  async night(toml = '', changes: Partial<NightContext> = {}): Promise<NightRun> {
    const events: NightEvent[] = [];
    const counters = newPushCounters();
    const result = await withSession(this.client.repository, this.client.secret, async (session) =>
      runNight({
        session,
        yunohost: this.yunohost,
        configuration: parseConfiguration(toml, 'test.toml'),
        state: { folder: this.state, indexPath: join(this.state, 'index'), spoolPath: join(this.state, 'spool') },
        epoch: parseEpoch(1),
        counters,
        freeBytes: async () => freeBytes(this.server.root),
        accounts: async () => doubleAccounts(this.server),
        localMinute: () => 60,
        monotonicMs: () => performance.now(),
        isScheduled: false,
        onEvent: (event) => events.push(event),
        ...changes,
      }),
    );
    return { result, events, counters };
  }

  /** The bytes of an archive of the newest snapshot, as a restore would write them. */
  async bytesOf(name: string, snapshot = 'latest'): Promise<Buffer> {
    const { repository, secret } = this.client;
    return await withSession(repository, secret, (session) => restoreBytes(session, name, snapshot));
  }

  /** Everything of ours in YunoHost's folders and in /run: nothing, after any run. */
  leftovers(): string[] {
    const { paths } = this.yunohost;
    return [paths.archives, paths.temporary, paths.runFolder].flatMap((folder) =>
      existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [],
    );
  }
}

export const statuses = ({ result }: NightRun): Record<string, string> =>
  Object.fromEntries(result.outcomes.map(({ name, status }) => [name, status]));
