// Files that people wrote while a part of the system was missing stay, whatever the restore does to their folders.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bringBackWritten, setWrittenAside } from '../../../src/yunohost/takeover/keep-written.ts';
import type { TakeoverHost } from '../../../src/yunohost/takeover/takeover-host.ts';
import { newRoot } from '../double/testing.ts';

const parts = ['data_home', 'data_multimedia'];

/** Homes with a file of before, and of after, the moment that it returns. */
async function makeHomes() {
  const homes = join(newRoot(), 'home');
  const host = { yunohost: { paths: { homes } } } as unknown as TakeoverHost;
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(homes, path)), { recursive: true });
    writeFileSync(join(homes, path), text);
  };
  const read = (path: string): string => readFileSync(join(homes, path), 'utf8');
  write('alice/old.txt', 'cut o');
  write('alice/papers/letter.txt', 'first words');
  write('yunohost.multimedia/share/song.ogg', 'song');
  write('bob/letter.txt', 'of a home that the part does not bring');
  await sleep(50);
  const sinceMs = Date.now();
  await sleep(50);
  write('alice/papers/letter.txt', 'second thoughts');
  write('yunohost.multimedia/share/new/there.ogg', 'there');
  return { homes, host, write, read, sinceMs };
}

const lay = async (host: TakeoverHost, homes: readonly string[], sinceMs: number): Promise<void> => {
  for (const part of parts) await setWrittenAside(host, part, homes, (ms) => ms > sinceMs);
};

describe('what was written while a part was missing', () => {
  it('stands aside while homes are copied over and the multimedia folder is replaced, and comes back', async () => {
    const { homes, host, write, read, sinceMs } = await makeHomes();
    const latin = Buffer.concat([Buffer.from(join(homes, 'alice/caf')), Buffer.from([0xe9])]);
    writeFileSync(latin, 'a name that is not UTF-8');
    await lay(host, ['alice', 'carol'], sinceMs);
    assert.deepEqual([existsSync(join(homes, 'alice/papers/letter.txt')), existsSync(latin)], [false, false]);
    write('alice/old.txt', 'whole');
    write('alice/papers/letter.txt', 'of the snapshot');
    rmSync(join(homes, 'yunohost.multimedia'), { recursive: true });
    write('yunohost.multimedia/share/song.ogg', 'song of the snapshot');
    await bringBackWritten(host);
    assert.equal(read('alice/old.txt'), 'whole');
    assert.equal(read('alice/papers/letter.txt'), 'second thoughts');
    assert.equal(readFileSync(latin, 'utf8'), 'a name that is not UTF-8');
    assert.equal(read('yunohost.multimedia/share/song.ogg'), 'song of the snapshot');
    assert.equal(read('yunohost.multimedia/share/new/there.ogg'), 'there');
    assert.deepEqual(readdirSync(homes).sort(), ['alice', 'bob', 'yunohost.multimedia']);
    // Once more is the same as once.
    await bringBackWritten(host);
  });

  it('a file that became a folder, or the other way round: both stay', async () => {
    const { host, write, read, homes, sinceMs } = await makeHomes();
    write('alice/note', 'a file now');
    write('alice/list/one', 'a folder now');
    await lay(host, ['alice'], sinceMs);
    rmSync(join(homes, 'alice/list'), { recursive: true });
    write('alice/list', 'a file in the snapshot');
    write('alice/note/one', 'a folder in the snapshot');
    await bringBackWritten(host);
    assert.deepEqual(
      [read('alice/list'), read('alice/note/one')],
      ['a file in the snapshot', 'a folder in the snapshot'],
    );
    const beside = [read('alice/note.written-meanwhile'), read('alice/list.written-meanwhile/one')];
    assert.deepEqual(beside, ['a file now', 'a folder now']);
  });

  it('a link in a folder’s place leads nowhere', async () => {
    const { homes, host, sinceMs } = await makeHomes();
    const outside = newRoot();
    writeFileSync(join(outside, 'secret'), 'of somebody else');
    symlinkSync(outside, join(homes, 'alice/out'));
    symlinkSync(outside, join(homes, 'mallory'));
    await lay(host, ['alice', 'mallory'], sinceMs);
    assert.equal(readFileSync(join(outside, 'secret'), 'utf8'), 'of somebody else');
    rmSync(join(homes, 'alice/papers'), { recursive: true });
    symlinkSync(outside, join(homes, 'alice/papers'));
    await bringBackWritten(host);
    assert.deepEqual(readdirSync(outside), ['secret']);
    assert.deepEqual(readdirSync(join(homes, 'alice/papers.written-meanwhile')), ['letter.txt']);
  });
});
