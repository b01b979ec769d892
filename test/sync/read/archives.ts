// Archives, repositories and folders that the tests of reading, restoring, checking and comparing start from.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RepositoryReader } from '../../../src/store/repository-store.ts';
import type { RepositorySession } from '../../../src/sync/repository-session.ts';
import { findArchive, findSnapshot } from '../../../src/sync/snapshots.ts';
import { CryptoTasks, workerKeys } from '../../../src/sync/workers/crypto-tasks.ts';
import type { CryptoRunner } from '../../../src/sync/workers/worker-pool.ts';
import { buildTar, type TarFormat, type TarMember } from '../../../src/tar/tar-writer.ts';
import { type ClientFixture, makeMemoryRepository, pushBytes, withSession } from '../../support/client-fixture.ts';

export type MemberOverrides = Partial<Omit<TarMember, 'name'>>;
export type TarEntryInput = readonly [name: string, content: string | Uint8Array | undefined, MemberOverrides?];

export const symlinkTo = (name: string, linkName: string): TarEntryInput => [
  name,
  undefined,
  { type: 'symlink', linkName },
];
export const hardlinkTo = (name: string, linkName: string): TarEntryInput => [
  name,
  undefined,
  { type: 'hardlink', linkName },
];
export const folder = (name: string, overrides: MemberOverrides = {}): TarEntryInput => [
  name,
  undefined,
  { type: 'directory', mode: 0o755, ...overrides },
];

/** A tar of files (with contents) and other members (without). */
export function tarOf(entries: readonly TarEntryInput[], format: TarFormat = 'pax'): Uint8Array {
  return buildTar(
    entries.map(([name, content, overrides = {}]) => {
      const bytes = content === undefined ? undefined : Buffer.from(content);
      const member: TarMember = {
        name,
        type: 'file',
        mode: 0o644,
        userId: 1000,
        groupId: 1000,
        userName: 'alice',
        groupName: 'alice',
        modifiedSeconds: 1758209844.5,
        sizeBytes: bytes?.byteLength ?? 0,
        ...overrides,
      };
      return bytes === undefined ? { member } : { member, content: new Uint8Array(bytes) };
    }),
    format,
  );
}

export async function inFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const path = await mkdtemp(join(tmpdir(), 'fallback-test-'));
  try {
    return await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

/** As withSession, without threads: ten times quicker where there is little to do. */
export async function withQuickSession<Store extends RepositoryReader, Result>(
  repository: Store,
  secret: Uint8Array,
  work: (session: RepositorySession<Store>) => Promise<Result>,
): Promise<Result> {
  return await withSession(repository, secret, async (session) => {
    const tasks = new CryptoTasks(workerKeys(session.keys));
    const crypto: CryptoRunner = { run: async (task) => tasks.run(task), close: async () => undefined };
    return await work({ ...session, crypto });
  });
}

/** Pushes nights of archives, one snapshot each. */
export async function pushNights(
  nights: readonly Readonly<Record<string, Uint8Array>>[],
  fixture: ClientFixture = makeMemoryRepository(),
): Promise<ClientFixture> {
  await inFolder(async (path) => {
    for (const night of nights) {
      await withQuickSession(fixture.repository, fixture.secret, (session) => pushBytes(session, path, night));
    }
  });
  return fixture;
}

/** Pushes one archive called `app`, and opens a session with it. */
export async function withArchive<Result>(
  bytes: Uint8Array,
  work: (
    session: RepositorySession<RepositoryReader>,
    archive: ReturnType<typeof findArchive>,
    fixture: ClientFixture,
  ) => Promise<Result>,
): Promise<Result> {
  const fixture = await pushNights([{ app: bytes }]);
  return await withQuickSession(fixture.repository, fixture.secret, async (session) => {
    return await work(session, findArchive(await findSnapshot(session, 'latest'), 'app'), fixture);
  });
}

/** Bytes that do not compress and are the same each time. */
export function noise(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let at = 0; at < length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
  return bytes;
}

/** Lines of text, `count` of them. */
export function lines(count: number, seed: number): string {
  return Array.from(
    { length: count },
    (_, line) => `INSERT INTO t VALUES (${line}, ${(line * 7919 * seed) % 104729});`,
  ).join('\n');
}

/** Counts how often each pack is fetched. */
export function counting(session: RepositorySession): { session: RepositorySession; fetched: Map<number, number> } {
  const fetched = new Map<number, number>();
  const repository = new Proxy(session.repository, {
    get: (target, key) =>
      key === 'pack'
        ? (number: number) => {
            fetched.set(number, (fetched.get(number) ?? 0) + 1);
            return target.pack(number);
          }
        : bound(target, key),
  });
  return { session: { ...session, repository }, fetched };
}

/** A property of an object behind a proxy; its methods stay its own. */
export function bound(target: object, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key);
  return typeof value === 'function' ? value.bind(target) : value;
}
