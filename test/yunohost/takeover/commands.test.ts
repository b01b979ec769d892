// The real command: what it refuses and with which exit code, what it says to type next, and a SIGKILL in the middle.
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandResult, tryCommand } from '../../../bench/command.ts';
import { nodeFileSystem } from '../../../src/fs/node-file-system.ts';
import { ClientState } from '../../../src/sync/client-state.ts';
import { recoveryFact } from '../../../src/yunohost/takeover/half-recovery.ts';
import { readCalls } from '../double/call-log.ts';
import { setFaults } from '../double/faults.ts';
import { chownDouble, yunohostDouble } from '../double/run-yunohost.ts';
import { compareServers, readServerState } from '../double/seed-server.ts';
import { deploy, makeStore, openJournal, passphrase, type Two, twoServers } from './takeover-fixture.ts';

const saved = { ...process.env };
after(() => Object.assign(process.env, saved));

/** What always answers: this server's own link is up. */
const link = createServer((_, answer) => answer.end());
await new Promise<void>((resolve) => link.listen(0, '127.0.0.1', resolve));
after(() => link.close());
const ownLink = `own_link = ["http://127.0.0.1:${(link.address() as AddressInfo).port}/"]\n`;

/** Types a command on the fallback server. Commands of this file follow each other: the environment is one. */
async function type(
  two: Two,
  args: readonly string[],
  onStart?: (child: ChildProcess) => void,
  toml = '[report]\nmail = "never"\n',
): Promise<CommandResult> {
  const { world, fallback } = two;
  const config = join(world.folder, 'config.toml');
  writeFileSync(
    config,
    `[server]\nrole = "fallback"\n[store]\nstate = "${join(world.folder, 'fallback-state')}"\nfolder = "${world.store}"\n[push]\nreserve_mib = 0\n${toml}`,
  );
  writeFileSync(join(world.folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 });
  Object.assign(process.env, {
    FALLBACK_HOST_ROOT: fallback.root,
    YUNOHOST_DOUBLE_ROOT: fallback.root,
    FALLBACK_YUNOHOST: yunohostDouble,
    FALLBACK_CHOWN: chownDouble,
    FALLBACK_CONFIG: config,
  });
  return await tryCommand(args, onStart);
}

/** A watch that takes over by itself, and the subjects of what it mails. @param toml more of its section. */
function watching(two: Two, toml = '') {
  const mails = join(two.world.folder, 'mails');
  const sendmail = join(two.world.folder, 'sendmail');
  writeFileSync(sendmail, `#!/bin/sh\ncat >> ${mails}\n`, { mode: 0o755 });
  const report = `[report]\nmail = "errors"\nsendmail = "${sendmail}"\n`;
  const config = `${report}[watch]\nenabled = true\ndeploy = true\n${toml}`;
  return {
    watch: (...args: readonly string[]) => type(two, ['watch', ...args], undefined, config),
    arm: () => type(two, ['arm', '--passphrase-file', join(two.world.folder, 'passphrase')], undefined, config),
    subjects: () => (existsSync(mails) ? (readFileSync(mails, 'utf8').match(/^Subject: .*$/gm) ?? []) : []),
  };
}

const code = (result: CommandResult): string | undefined => /code: (\w+)/.exec(result.stderr)?.[1];

describe('the commands of a takeover', () => {
  it('refuse what does not fit, and change nothing', async () => {
    const two = await twoServers();
    const secret = ['--passphrase-file', join(two.world.folder, 'passphrase')];
    const before = readServerState(two.fallback.root);
    const closed = await type(two, ['close', ...secret]);
    assert.deepEqual([closed.exitCode, code(closed)], [2, 'WRONG_STATE']);
    assert.match(closed.stderr, /fallback deploy/);
    const unarmed = await type(two, ['deploy', '--auto']);
    assert.deepEqual([unarmed.exitCode, code(unarmed)], [2, 'USAGE']);
    assert.match(unarmed.stderr, /fallback arm/);
    writeFileSync(join(two.world.folder, 'wrong'), 'wrong\n', { mode: 0o600 });
    const wrong = await type(two, ['deploy', '--passphrase-file', join(two.world.folder, 'wrong')]);
    assert.deepEqual([wrong.exitCode, code(wrong)], [5, 'KEY_WRONG']);
    await sleep(1100);
    const old = await type(two, ['deploy', '--max-age', '1s', ...secret]);
    assert.deepEqual([old.exitCode, code(old)], [1, 'TAKEOVER_REFUSED']);
    const rehearsed = await type(two, ['deploy', '--rehearse', '--json', ...secret]);
    assert.deepEqual([rehearsed.exitCode, (rehearsed.json as { ready: boolean }).ready], [0, true]);
    assert.deepEqual(compareServers(before, readServerState(two.fallback.root)), []);
  });

  it('wait for a recovery that was cut off in its middle', async () => {
    const two = await twoServers();
    const secret = ['--passphrase-file', join(two.world.folder, 'passphrase')];
    const journal = await openJournal(two.host.stateFolder, undefined, 'recover.json');
    await journal.reset('recovering', { [recoveryFact]: { app: 'fbwiki', snapshot: 1, domain: 'fb.test' } });
    const cutOff = journal.step('replace:fbwiki', async () => {
      throw new Error('cut off');
    });
    await assert.rejects(cutOff);
    const takeover = await openJournal(two.host.stateFolder);
    for (const [command, state] of [
      ['deploy', 'idle'],
      ['close', 'deployed'],
    ] as const) {
      await takeover.reset(state, {});
      const refused = await type(two, [command, ...secret]);
      assert.deepEqual([refused.exitCode, code(refused)], [2, 'WRONG_STATE']);
      assert.match(refused.stderr, /fallback recover fbwiki/);
    }
    const status = await type(two, ['status', '--json']);
    assert.deepEqual(
      [status.exitCode, (status.json as { recovering: string }).recovering],
      [0, 'fbwiki'],
      status.stderr,
    );
  });

  it('armed, killed in the middle, resumed by itself, and closed', async () => {
    const two = await twoServers();
    const { fallback, world } = two;
    const before = readServerState(fallback.root);
    const secret = ['--passphrase-file', join(world.folder, 'passphrase')];
    const armed = await type(two, ['arm', ...secret]);
    assert.equal(armed.exitCode, 0, armed.stderr);
    assert.match(armed.stdout, /whoever becomes root here/);
    setFaults(fallback.root, [
      { match: '^backup restore fallback-take-demosql', kind: 'hold', at: 'restore-script', file: '/hold' },
    ]);
    writeFileSync(join(fallback.root, 'hold'), '');
    const isHeld = (): boolean => readCalls(fallback.root).some(({ argv }) => argv.includes('fallback-take-demosql'));
    const killed = await type(two, ['deploy', '--auto'], (child) => {
      void (async () => {
        while (!isHeld() && child.exitCode === null) await sleep(50);
        child.kill('SIGKILL');
      })();
    });
    assert.equal(killed.exitCode, null);
    const wrong = await type(two, ['arm', ...secret]);
    assert.equal(wrong.exitCode, 0);
    setFaults(fallback.root, []);
    setTimeout(() => rmSync(join(fallback.root, 'hold')), 1500);
    const resumed = await type(two, ['deploy', '--auto', '--json']);
    assert.equal(resumed.exitCode, 0, resumed.stderr);
    assert.match(JSON.stringify(resumed.json), /"complete":true/);
    assert.equal((await type(two, ['deploy', '--auto'])).exitCode, 0);
    const closed = await type(two, ['close']);
    assert.equal(closed.exitCode, 0, closed.stderr);
    assert.deepEqual(compareServers(before, readServerState(fallback.root), { ignore: [/^\/var\/lib\/mysql$/] }), []);
    const disarmed = await type(two, ['disarm', '--json']);
    assert.deepEqual(disarmed.json, { armed: false, wasArmed: true });
  });

  it('a watch that cannot ask the main server says so once, and never takes over; arm tells it whom to ask', async () => {
    const two = await twoServers();
    const note = join(two.host.stateFolder, 'main-domain');
    const { watch, arm, subjects } = watching(two, `delay = "1s"\n${ownLink}`);
    assert.equal((await arm()).exitCode, 0);
    assert.equal(readFileSync(note, 'utf8'), 'main.test\n');
    // As an older version left it: armed, and nothing noted.
    rmSync(note);
    await sleep(1100);
    for (let look = 0; look < 4; look++) {
      assert.match((await watch()).stdout, /nothing can be said.*\n.*watch\.domains is empty/);
    }
    const cutOff = watching(two, 'delay = "1s"\nown_link = []\ndomains = ["main.test"]\n');
    assert.match((await cutOff.watch()).stdout, /watch\.own_link is empty/);
    assert.match(subjects().join('\n'), /^Subject: .*WARNING: .* cannot tell/);
    assert.equal(subjects().length, 1);
    assert.equal((await openJournal(two.host.stateFolder)).state, 'idle');
    const empty = watching({ ...two, world: await makeStore(join(two.world.folder, 'empty')) });
    const refused = await empty.arm();
    assert.deepEqual([refused.exitCode, code(refused)], [2, 'USAGE'], refused.stderr);
    assert.match(refused.stderr, /watch\.domains/);
    assert.equal(existsSync(join(two.world.folder, 'empty/fallback-state/armed-key')), false);
  });

  it('a watch whose store does not open says so once', async () => {
    const two = await twoServers();
    const { watch, subjects } = watching({
      ...two,
      world: { ...two.world, store: join(two.world.folder, 'unmounted') },
    });
    for (let look = 0; look < 2; look++) {
      const failed = await watch();
      assert.deepEqual([failed.exitCode, code(failed)], [1, 'STORE_INVALID']);
      assert.match(subjects().join('\n'), /^Subject: .*FAILED: watch on [^\n]*$/);
    }
  });

  it('an incident that meets a busy machine: the takeover is put off, told once, and begun at a later look', async () => {
    const two = await twoServers();
    const { world, host } = two;
    const { watch, subjects } = watching(two, `delay = "1s"\n${ownLink}`);
    await type(two, ['arm', '--passphrase-file', join(world.folder, 'passphrase')]);
    // The last snapshot counts as a sign of life for as long as the delay.
    await sleep(1100);
    for (let look = 0; look < 2; look++) assert.match((await watch()).stdout, /not long enough yet/);
    await sleep(1100);
    const state = new ClientState(nodeFileSystem, host.stateFolder, () => 'unused');
    const lock = await state.lock('rehearsal', () => Date.now());
    const first = await watch();
    assert.equal(code(first), 'BUSY', first.stderr);
    assert.equal(subjects().length, 2);
    const second = await watch();
    assert.equal(second.exitCode, 0, second.stderr);
    assert.match(second.stderr, /put off until the next look/);
    assert.equal(subjects().length, 2);
    lock.release();
    const third = await watch();
    assert.equal(third.exitCode, 0, third.stderr);
    assert.match(subjects()[2] ?? '', /HAS TAKEN OVER/);
    assert.equal((await openJournal(host.stateFolder)).state, 'deployed');
  });

  it('a takeover that was cut off: the watch tells it once, and goes on with it once it may', async () => {
    const two = await twoServers();
    const { world, host } = two;
    const { watch, subjects } = watching(two);
    // As after a power failure: the journal is open, and nobody is at it.
    const cutOff = deploy(world, host, (step, moment) => {
      if (step === 'put-aside' && moment === 'begun') throw new Error('cut off');
    });
    await assert.rejects(cutOff, /cut off/);
    for (const _ of ['tells', 'rests']) {
      const told = await watch();
      assert.equal(told.exitCode, 0, told.stderr);
      assert.match(told.stdout, /half done\. This server is not armed/);
      assert.equal(subjects().length, 1);
    }
    assert.match(subjects()[0] ?? '', /HALF DONE/);
    await type(two, ['arm', '--passphrase-file', join(world.folder, 'passphrase')]);
    const resumed = await watch();
    assert.equal(resumed.exitCode, 0, resumed.stderr);
    assert.match(resumed.stdout, /going on with it, try 1 of 3/);
    assert.equal((await openJournal(host.stateFolder)).state, 'deployed');
    assert.match(subjects()[1] ?? '', /HAS TAKEN OVER/);
    assert.match((await watch()).stdout, /“deployed”: the watch rests/);
  });
});
