// The night over the double, with one method: what is saved, what is kept, what is left behind (nothing).
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { before, beforeEach, describe, it } from 'node:test';
import { readCalls } from '../double/call-log.ts';
import { setFaults } from '../double/faults.ts';
import { layApp } from '../double/seed-apps.ts';
import { listMembers } from '../double/tar-read.ts';
import { doubleCommand } from '../double-host.ts';
import { NightFixture, statuses, tinyApp } from '../night-fixture.ts';

const failing = async (work: Promise<unknown>): Promise<unknown> =>
  await work.then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error,
  );

/** The night with one method. */
export function nightSuite(method: 'archive' | 'stream'): void {
  describe(`a night with method ${method}`, () => {
    let fixture: NightFixture;
    const toml = `[push]\nmethod = "${method}"\n[yunohost]\nlock_timeout = "5s"\n`;
    before(async () => {
      // Enough that where a key happens to cut does not decide how much an unchanged night sends.
      fixture = await NightFixture.create({ apps: [tinyApp('wiki', 400_000), tinyApp('blog', 400_000)] });
    });
    beforeEach(() => setFaults(fixture.server.root, []));

    it('saves the system and every app, each as an archive of its own, and leaves nothing', async () => {
      const run = await fixture.night(toml);
      assert.deepEqual(statuses(run), { system: 'saved', blog: 'saved', wiki: 'saved' });
      assert.equal(run.result.exitCode, 0);
      assert.equal(run.result.isComplete, true);
      assert.equal(run.result.push.snapshot.complete, true);
      assert.deepEqual(fixture.leftovers(), []);
      const members = listMembers(await fixture.bytesOf('system')).map(({ name }) => name);
      assert.ok(members.includes('info.json') && members.includes('conf/ynh/settings.yml'));
      assert.ok(members.some((name) => name.startsWith('data/home/alice')));
      assert.ok(!members.some((name) => name.startsWith('apps')));
      const [system, blog] = run.result.push.archives;
      assert.equal(system?.attributes['kind'], 'system');
      assert.equal(blog?.attributes['app'], 'blog');
      assert.equal(blog?.attributes['domainPath'], 'main.test/blog');
      assert.equal(blog?.attributes['yunohostVersion'], '12.1.25');
    });

    it('runs each app’s script once a night (D18), one YunoHost command for each archive', async () => {
      const calls = readCalls(fixture.server.root).length;
      const run = await fixture.night(toml);
      assert.equal(run.result.exitCode, 0);
      const creates = readCalls(fixture.server.root)
        .slice(calls)
        .filter(({ argv }) => argv.includes('create'));
      assert.equal(creates.length, 3);
      // An unchanged night sends little more than the generated parts.
      assert.ok(
        run.counters.newBytes < run.counters.readBytes / 2,
        `${run.counters.newBytes} of ${run.counters.readBytes}`,
      );
    });

    it('an app that fails keeps its last good archive; the snapshot is partial; exit code 3 (D1, D2, D17)', async () => {
      setFaults(fixture.server.root, [{ match: '^backup create', kind: 'app-fails', app: 'wiki' }]);
      const good = await fixture.bytesOf('wiki');
      const run = await fixture.night(toml);
      assert.deepEqual(statuses(run), { system: 'saved', blog: 'saved', wiki: 'kept' });
      assert.equal(run.result.exitCode, 3);
      assert.equal(run.result.push.snapshot.complete, false);
      assert.match(run.result.outcomes.find(({ name }) => name === 'wiki')?.reason ?? '', /wiki|collect/);
      assert.deepEqual(await fixture.bytesOf('wiki'), good);
      assert.deepEqual(fixture.leftovers(), []);
    });

    it('yunohost crashes, is killed, prints junk, prints nothing, exits badly: the others are saved, nothing is left', async () => {
      const faults = [
        ['a-crash', { kind: 'traceback', at: 'collected' }],
        ['b-kill', { kind: 'kill', at: 'collected' }],
        ['c-junk', { kind: 'junk' }],
        ['d-silent', { kind: 'no-json' }],
        ['e-exit', { kind: 'exit-code', code: 1 }],
      ] as const;
      for (const [id] of faults) await layApp(fixture.server, tinyApp(id, 10_000), 3);
      setFaults(
        fixture.server.root,
        faults.map(([id, fault]) => ({ match: `^backup create .*--apps ${id}`, ...fault })),
      );
      const run = await fixture.night(toml);
      // What a stream gave is whole, whatever YunoHost says after it was read; an archive's maker must say what it did.
      const after = method === 'stream' ? 'saved' : 'missing';
      assert.deepEqual(statuses(run), {
        ...{ system: 'saved', blog: 'saved', wiki: 'saved' },
        ...{ 'a-crash': 'missing', 'b-kill': 'missing', 'c-junk': after, 'd-silent': after, 'e-exit': after },
      });
      assert.equal(run.result.exitCode, 3);
      if (method === 'stream') {
        assert.match(
          run.result.outcomes.find(({ name }) => name === 'c-junk')?.warnings[0] ?? '',
          /after it was saved/,
        );
      }
      assert.deepEqual(fixture.leftovers(), []);
      for (const [id] of faults) rmSync(fixture.server.path(`/etc/yunohost/apps/${id}`), { recursive: true });
    });

    it('a dump that hangs is ended when its time is up', async () => {
      setFaults(fixture.server.root, [{ match: '^backup create .*--apps wiki', kind: 'hang', at: 'collected' }]);
      fixture.yunohost = doubleCommand(fixture.server.root, { lockTimeoutSeconds: 1 });
      const run = await fixture.night(
        `[push]\nmethod = "${method}"\n[yunohost]\ntime_limit = "2s"\nlock_timeout = "1s"\n`,
      );
      fixture.yunohost = doubleCommand(fixture.server.root);
      assert.equal(statuses(run)['wiki'], 'kept');
      assert.equal(run.result.outcomes.find(({ name }) => name === 'wiki')?.code, 'YUNOHOST_TIMEOUT');
      assert.deepEqual(fixture.leftovers(), []);
    });

    it('one system part fails: the last whole system is kept', async () => {
      setFaults(fixture.server.root, [
        { match: '^backup create', kind: 'fail', at: 'hook-backup', path: '23-data_mail' },
      ]);
      const run = await fixture.night(toml);
      assert.equal(statuses(run)['system'], 'kept');
      assert.match(run.result.outcomes[0]?.reason ?? '', /data_mail/);
      assert.deepEqual(fixture.leftovers(), []);
    });

    it('a part that fails every night: what the last system lacks too is no reason to keep it', async () => {
      const added = '/etc/yunohost/hooks.d/backup/60-extra';
      fixture.server.write(added, 'exit 1\n', 0o755);
      for (let night = 0; night < 2; night++) {
        fixture.server.write('/home/alice/night.txt', `night ${night}\n`);
        const run = await fixture.night(toml);
        assert.equal(statuses(run)['system'], 'suspicious');
        assert.match(run.result.outcomes[0]?.reason ?? '', /extra/);
        assert.equal(run.result.exitCode, 3);
        assert.equal(run.result.push.snapshot.complete, false);
        const file = listMembers(await fixture.bytesOf('system')).find(({ name }) => name.endsWith('/night.txt'));
        assert.equal(file?.content().toString(), `night ${night}\n`);
      }
      rmSync(fixture.server.path(added));
      assert.deepEqual(fixture.leftovers(), []);
    });

    it('one of two hooks for a part fails: the part is half, and info.json has it all the same', async () => {
      const folder = '/etc/yunohost/hooks.d/backup';
      fixture.server.write(`${folder}/50-thing`, 'exit 0\n', 0o755);
      fixture.server.write(`${folder}/60-thing`, 'exit 1\n', 0o755);
      for (let night = 0; night < 2; night++) {
        const run = await fixture.night(toml);
        assert.equal(statuses(run)['system'], 'suspicious');
        assert.match(run.result.outcomes[0]?.reason ?? '', /could not save: thing/);
        assert.equal(run.result.exitCode, 3);
        const system = run.result.push.archives.find(({ name }) => name === 'system');
        assert.match(system?.attributes['incomplete'] ?? '', /thing/);
        assert.doesNotMatch(system?.attributes['parts'] ?? '', /thing/);
        assert.equal(system?.status, 'suspicious');
      }
      for (const name of ['50-thing', '60-thing']) rmSync(fixture.server.path(`${folder}/${name}`));
      assert.deepEqual(fixture.leftovers(), []);
    });

    it('an app is installed, another removed: the new one is covered, the old one kept and told (D12)', {
      skip: method === 'stream' && 'the same code as with archives',
    }, async () => {
      await layApp(fixture.server, tinyApp('notes'), 7);
      await fixture.yunohost.apps.remove('wiki', { purge: true });
      for (let night = 0; night < 2; night++) {
        const run = await fixture.night(toml);
        const { 'c-junk': _, 'd-silent': __, 'e-exit': ___, ...rest } = statuses(run);
        assert.deepEqual(rest, { system: 'saved', blog: 'saved', notes: 'saved', wiki: 'vanished' });
        assert.equal(run.result.exitCode, 0);
        assert.deepEqual(run.result.coverage.newApps, night === 0 ? ['notes'] : []);
      }
      const run = await fixture.night(`${toml}[apps]\nexclude = ["wiki"]\n`);
      assert.equal(statuses(run)['wiki'], undefined);
    });

    it('an interruption in the middle leaves nothing, and the last snapshot as it was', async () => {
      const snapshots = fixture.client.repository.files.length;
      const controller = new AbortController();
      const reason = new Error('SIGTERM');
      const error = await failing(
        fixture.night(toml, {
          signal: controller.signal,
          onEvent: (event) => event.step === 'pushing' && event.name === 'blog' && controller.abort(reason),
        }),
      );
      assert.equal(error, reason);
      assert.equal(fixture.client.repository.files.length, snapshots);
      assert.deepEqual(fixture.leftovers(), []);
      assert.equal((await fixture.night(toml)).result.exitCode, 0);
    });
  });
}
