// A fallback server and a paired main server as real processes: what the end-to-end tests begin with.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand, type ServeProcess, startServe } from '../../bench/command.ts';
import { photo, sqlText, tarOf } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

export interface Story {
  readonly folder: string;
  readonly store: string;
  readonly state: string;
  readonly passphrase: string;
  readonly sheet: string;
  readonly port: number;
  server: ServeProcess;
}

/** Runs `work` with a server and a paired client in a folder of their own. @param store where the store goes instead. */
export async function withStory(
  work: (story: Story) => Promise<void>,
  store?: string,
  initArgs: readonly string[] = [],
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const server = await startServe(store ?? join(folder, 'store'), ['--reserve', '1MB']);
    const story: Story = {
      folder,
      store: server.folder,
      state: join(folder, 'state'),
      passphrase: join(folder, 'passphrase'),
      sheet: join(folder, 'sheet.txt'),
      port: Number(server.address.split(':').at(-1)),
      server,
    };
    try {
      await writeFile(story.passphrase, 'a quiet night\n', { mode: 0o600 });
      const code = await invite(story, 'main');
      const secret = initArgs.includes('--no-encryption') ? [] : ['--passphrase-file', story.passphrase];
      await runCommand(['init', code, '--state', story.state, ...secret, '--sheet', story.sheet, ...initArgs]);
      await work(story);
    } finally {
      await story.server.kill();
    }
  });
}

/** A pairing code. */
export async function invite(story: Story, name: string): Promise<string> {
  const { json } = await runCommand([
    'invite',
    '--dir',
    story.store,
    '--name',
    name,
    '--address',
    story.server.address,
    '--json',
  ]);
  return (json as { code: string }).code;
}

/** Archives as one folder's files. */
export type Archives = Readonly<Record<string, Uint8Array>>;

/** Writes archives as NAME.tar into an emptied folder. */
export async function writeArchives(folder: string, archives: Archives): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(archives)) await writeFile(join(folder, `${name}.tar`), bytes);
}

/** A night's archives: some megabytes, a good part of them new every night. */
export function nightArchives(night: number, megabytes = 4): Archives {
  return {
    system: tarOf(
      { 'mail.txt': sqlText(4000 + night * 50, 3), 'conf.txt': sqlText(200, night + 1) },
      1_758_000_000 + night,
    ),
    app: tarOf({ 'db.sql': sqlText(20_000 + night * 200, 7), [`photo${night}.jpg`]: photo(megabytes * 1_000_000) }),
    notes: new Uint8Array(randomBytes(30_000)),
  };
}

/** Restores a snapshot with the command. @returns its archives by name. */
export async function restoreArchives(story: Story, snapshot: string, folder: string): Promise<Archives> {
  await rm(folder, { recursive: true, force: true });
  await runCommand(['restore', snapshot, '--to', folder, '--state', story.state]);
  const archives: Record<string, Uint8Array> = {};
  for (const name of await readdir(folder)) archives[name.replace(/\.tar$/, '')] = await readFile(join(folder, name));
  return archives;
}

/** Whether two sets of archives are the same, byte for byte. */
export function sameArchives(a: Archives, b: Archives): boolean {
  const names = Object.keys(a).sort();
  if (names.join() !== Object.keys(b).sort().join()) return false;
  return names.every((name) => Buffer.compare(a[name] ?? new Uint8Array(0), b[name] ?? new Uint8Array(1)) === 0);
}

/** The twelve words of a recovery sheet, in their order. */
export function phraseOf(sheet: string): string {
  const words = [...sheet.matchAll(/\b(\d{1,2}) ([a-z]{3,8})\b/g)].sort((a, b) => Number(a[1]) - Number(b[1]));
  assert.equal(words.length, 12);
  return words.map((match) => match[2]).join(' ');
}
