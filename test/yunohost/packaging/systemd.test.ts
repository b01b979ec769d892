// The units are what systemd takes, and keep what was decided about them.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { commandEntries } from '../../../src/cli/commands.ts';
import { exampleConfiguration } from '../../../src/yunohost/configuration/describe-schema.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';

const folder = resolve(import.meta.dirname, '../../../packaging/systemd');
const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
const units = readdirSync(folder).filter((name) => /\.(service|timer)$/.test(name));

test('systemd-analyze verify has nothing to say', { skip: !existsSync('/usr/bin/systemd-analyze') }, async () => {
  await inTemporaryFolder(async (temporary) => {
    const launcher = resolve(folder, '../../bin/fallback');
    for (const name of units) {
      const text = read(name)
        .replaceAll('/usr/bin/fallback', launcher)
        .replaceAll(/^Documentation=.*\n/gm, '');
      writeFileSync(join(temporary, name), text);
    }
    const ran = spawnSync('systemd-analyze', ['verify', '--man=no', ...units.map((name) => join(temporary, name))], {
      encoding: 'utf8',
    });
    // What it says of other units on this machine is not ours.
    const said = `${ran.stdout}${ran.stderr}`.split('\n').filter((line) => line.includes('fallback'));
    assert.deepEqual(said, []);
  });
});

test('every timer has its service; every service starts a command that there is', () => {
  const known = new Set(commandEntries.map(({ name }) => name));
  for (const name of units.filter((unit) => unit.endsWith('.timer'))) {
    assert.ok(units.includes(name.replace('.timer', '.service')), name);
  }
  for (const name of units.filter((unit) => unit.endsWith('.service'))) {
    const command = /^ExecStart=\/usr\/bin\/fallback (\S+)/m.exec(read(name))?.[1] ?? '';
    // Commands of the takeover.
    assert.ok(known.has(command) || ['deploy', 'watch'].includes(command), `${name}: ${command}`);
  }
});

test('the push makes up for a missed night, at another time each server, and gives way to everything else', () => {
  const timer = read('fallback-push.timer');
  assert.match(timer, /^Persistent=true$/m);
  assert.match(timer, /^RandomizedDelaySec=\d+min$/m);
  const [, hour = '0', minute = '0'] = /^OnCalendar=\*-\*-\* (\d\d):(\d\d):00$/m.exec(timer) ?? [];
  const delayMin = Number(/^RandomizedDelaySec=(\d+)min$/m.exec(timer)?.[1]);
  const start = Number(hour) * 60 + Number(minute);
  assert.ok(start > 30 && start + delayMin < 24 * 60, 'not from 00:00 to 00:30');
  const service = read('fallback-push.service');
  for (const line of ['Nice=19', 'IOSchedulingClass=idle', 'TimeoutStartSec=infinity', 'KillMode=mixed']) {
    assert.ok(service.includes(`\n${line}\n`), line);
  }
});

test('the server is shut in, but may compile', () => {
  const service = read('fallback-serve.service');
  assert.doesNotMatch(service, /^MemoryDenyWriteExecute=/m);
  // It must see which processes live, and the boot: temporary files of living ones are not leftovers.
  assert.doesNotMatch(service, /^(ProtectProc|ProcSubset)=/m);
  for (const line of [
    'ProtectSystem=strict',
    'NoNewPrivileges=yes',
    'SystemCallFilter=@system-service',
    'PrivateUsers=yes',
  ]) {
    assert.ok(service.includes(`\n${line}\n`), line);
  }
});

test('no unit holds a secret, and the example is what the schema says', () => {
  for (const name of units) assert.doesNotMatch(read(name), /Environment=.*(pass|secret|key|token)/i, name);
  assert.equal(read('config.example.toml'), exampleConfiguration());
});
