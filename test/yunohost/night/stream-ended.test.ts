// YunoHost ends while its files are read: what was read by then is no archive.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readCalls } from '../double/call-log.ts';
import { doubleAccounts, NightFixture, type NightRun, statuses } from '../night-fixture.ts';

const toml = '[push]\nmethod = "stream"\n[system]\nenabled = false\n';

/** Ends the hook that waits for our word, as an admin does who looks for what holds YunoHost's lock. */
function killHook({ yunohost }: NightFixture): void {
  const folder = yunohost.paths.runFolder;
  for (const id of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const words = readFileSync(`/proc/${id}/cmdline`, 'latin1').split('\0');
      const isOurs = readFileSync(`/proc/${id}/environ`, 'latin1').includes(`FALLBACK_PUSH_FOLDER=${folder}/`);
      if (isOurs && words.some((word) => word.endsWith('05-fallback_push'))) process.kill(Number(id), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; !isSo(); tries++) {
    assert.ok(tries < 1500, 'it never came');
    await sleep(20);
  }
}

/** A night in which `strike` is called when the first file of the blog has been named. */
async function struckNight(fixture: NightFixture, strike: () => Promise<void>): Promise<NightRun> {
  let streams = 0;
  return await fixture.night(toml, {
    accounts: async () => {
      const isBlog = ++streams === 1;
      let isDone = false;
      const names = doubleAccounts(fixture.server);
      return {
        ...names,
        userName: async (id) => {
          if (isBlog && !isDone) {
            isDone = true;
            await strike();
          }
          return await names.userName(id);
        },
      };
    },
  });
}

function assertKept(fixture: NightFixture, run: NightRun, reason: RegExp): void {
  assert.deepEqual(statuses(run), { blog: 'kept', wiki: 'saved' });
  assert.match(run.result.outcomes.find(({ name }) => name === 'blog')?.reason ?? '', reason);
  assert.equal(run.result.exitCode, 3);
  assert.equal(run.result.push.snapshot.complete, false);
  assert.deepEqual(fixture.leftovers(), []);
}

describe('YunoHost ends while a stream is read', () => {
  it('its folder is emptied: the last good archive is kept', async () => {
    const fixture = await NightFixture.create();
    await fixture.night(toml);
    const good = await fixture.bytesOf('blog');
    const run = await struckNight(fixture, async () => {
      killHook(fixture);
      const work = fixture.yunohost.paths.workFolder('fallback-night-app-blog');
      await until(() => !existsSync(work));
    });
    assertKept(fixture, run, /vanished: YunoHost gave up/);
    assert.deepEqual(await fixture.bytesOf('blog'), good);
  });

  it('its folder is still whole when the last byte is read: that is luck, and no archive either', async () => {
    const fixture = await NightFixture.create();
    await fixture.night(toml);
    let going: Promise<void> | undefined;
    const run = await struckNight(fixture, async () => {
      const { pid } = readCalls(fixture.server.root).at(-1) ?? { pid: 0 };
      assert.ok(pid > 0);
      process.kill(pid, 'SIGSTOP');
      killHook(fixture);
      const { runFolder } = fixture.yunohost.paths;
      const isAnswered = (): boolean =>
        readdirSync(runFolder).some((name) => existsSync(join(runFolder, name, 'answer')));
      going = until(isAnswered).finally(() => process.kill(pid, 'SIGCONT'));
    });
    await going;
    assertKept(fixture, run, /ended before its files were read to their end/);
  });
});
