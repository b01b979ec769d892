// Files that people wrote while a part of the system was missing stay, whatever the restore does to their folders.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { bringBackWritten, keepWritten } from '../../../src/yunohost/takeover/keep-written.ts';
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

describe('what was written while a part was missing', () => {
  it('stands aside while homes are copied over and the multimedia folder is replaced, and comes back', async () => {
    const { homes, host, write, read, sinceMs } = await makeHomes();
    await keepWritten(host, parts, ['alice', 'carol'], sinceMs, async () => {
      assert.equal(existsSync(join(homes, 'alice/papers/letter.txt')), false);
      write('alice/old.txt', 'whole');
      write('alice/papers/letter.txt', 'of the snapshot');
      rmSync(join(homes, 'yunohost.multimedia'), { recursive: true });
      write('yunohost.multimedia/share/song.ogg', 'song of the snapshot');
    });
    assert.equal(read('alice/old.txt'), 'whole');
    assert.equal(read('alice/papers/letter.txt'), 'second thoughts');
    assert.equal(read('yunohost.multimedia/share/song.ogg'), 'song of the snapshot');
    assert.equal(read('yunohost.multimedia/share/new/there.ogg'), 'there');
    assert.deepEqual(readdirSync(homes).sort(), ['alice', 'bob', 'yunohost.multimedia']);
  });

  it('comes back when the restore fails, and after a try that was killed', async () => {
    const { homes, host, read, sinceMs } = await makeHomes();
    const failure = keepWritten(host, parts, ['alice'], sinceMs, () => Promise.reject(new Error('no restore today')));
    await assert.rejects(failure, /no restore today/);
    assert.equal(read('alice/papers/letter.txt'), 'second thoughts');
    const never = Promise.withResolvers<void>();
    void keepWritten(host, parts, ['alice'], sinceMs, async () => {
      never.resolve();
      await new Promise(() => undefined);
    });
    await never.promise;
    assert.equal(existsSync(join(homes, 'alice/papers/letter.txt')), false);
    await bringBackWritten(host);
    assert.equal(read('alice/papers/letter.txt'), 'second thoughts');
    assert.deepEqual(readdirSync(homes).sort(), ['alice', 'bob', 'yunohost.multimedia']);
  });

  it('a file that became a folder, or the other way round, is what people made of it', async () => {
    const { host, write, read, homes, sinceMs } = await makeHomes();
    write('alice/note', 'a file now');
    write('alice/list/one', 'a folder now');
    await keepWritten(host, parts, ['alice'], sinceMs, async () => {
      rmSync(join(homes, 'alice/list'), { recursive: true });
      write('alice/list', 'a file in the snapshot');
      write('alice/note/one', 'a folder in the snapshot');
    });
    assert.deepEqual([read('alice/note'), read('alice/list/one')], ['a file now', 'a folder now']);
  });
});
