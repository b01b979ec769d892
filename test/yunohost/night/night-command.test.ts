// `fallback setup`, `apps`, `push` and `alarm` as processes, with a real server on loopback and the double of yunohost:
// reports, two at once, SIGTERM and SIGKILL in the middle, with both methods.
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server as WebServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { jsonLines, type RunOptions, Sandbox, stop } from '../../cli/support/fallback-process.ts';
import { readCalls } from '../double/call-log.ts';
import { setFaults } from '../double/faults.ts';
import { yunohostDouble } from '../double/run-yunohost.ts';
import type { Server } from '../double/server.ts';
import { smallServer } from '../double/testing.ts';
import { tinyApp } from '../night-fixture.ts';

let box: Sandbox;
let main: Server;
let web: WebServer;
const asked: { url: string; body: string }[] = [];
let options: RunOptions;

const mails = (): string[] => readFileSync(box.path('mails'), 'utf8').split('=== ').slice(1);
const lastMail = (): { headers: string; body: string } => {
  const [head = '', body = ''] = (mails().at(-1) ?? '').split('\n\n');
  return { headers: head, body: Buffer.from(body, 'base64').toString('utf8') };
};
const leftovers = (): string[] =>
  ['/home/yunohost.backup/archives', '/home/yunohost.backup/tmp', '/run/fallback'].flatMap((folder) =>
    existsSync(main.path(folder)) ? readdirSync(main.path(folder)) : [],
  );
const configure = (text: string): void => writeFileSync(box.path('config.toml'), text);
const report = (): string =>
  `[report]\nmail = "always"\nsendmail = "${box.path('sendmail')}"\nmail_to = ["admin@example.org"]\n` +
  `webhook = "http://127.0.0.1:${(web.address() as AddressInfo).port}/hook?token=sesame"\n` +
  `healthcheck = "http://127.0.0.1:${(web.address() as AddressInfo).port}/ping/uuid"\n`;

before(async () => {
  box = await Sandbox.make();
  main = await smallServer({ users: ['alice'], userBytes: 20_000, apps: [tinyApp('wiki'), tinyApp('blog')] });
  web = createServer((request, response) => {
    let body = '';
    request.on('data', (data: Buffer) => {
      body += data.toString();
    });
    request.on('end', () => {
      asked.push({ url: request.url ?? '', body });
      response.end('ok');
    });
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  writeFileSync(box.path('sendmail'), `#!/bin/sh\n{ printf '=== '; cat; } >> ${box.path('mails')}\n`, { mode: 0o755 });
  writeFileSync(box.path('mails'), '');
  writeFileSync(box.path('pass'), 'correct horse battery staple\n', { mode: 0o600 });
  options = {
    environment: {
      YUNOHOST_DOUBLE_ROOT: main.root,
      FALLBACK_HOST_ROOT: main.root,
      FALLBACK_YUNOHOST: yunohostDouble,
      FALLBACK_CONFIG: box.path('config.toml'),
    },
  };
  await box.serve(box.path('store'), ['--no-maintenance']);
});

after(async () => {
  await new Promise((resolve) => web.close(resolve));
  await box[Symbol.asyncDispose]();
});

test('without a configuration it says what to do; setup writes one and tests what the server needs', async () => {
  await box.fails(['push', '--state', 'state'], 2, 'USAGE', {
    environment: { ...options.environment, FALLBACK_CONFIG: box.path('none') },
  });
  const answers = { 'report.sendmail': box.path('sendmail'), 'store.state': box.path('state'), 'push.reserve_mib': 1 };
  const input = JSON.stringify(answers);
  const first = await box.run(['setup', 'main', '--answers', '-'], { ...options, input });
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stdout, /ok +YunoHost: 12\.1\.25/);
  assert.match(first.stdout, /to do +fallback server: not paired yet/);
  await box.fails(['setup', 'main', '--answers', '-'], 1, 'ALREADY_EXISTS', { ...options, input });
  const { code } = JSON.parse(await box.ok(['invite', '--dir', 'store', '--name', 'main.test', '--json']));
  await box.ok(['init', code, '--passphrase-file', 'pass', '--sheet', 'sheet', '--state', 'state', '--json']);
  const again = JSON.parse(
    await box.ok(['setup', 'main', '--answers', '-', '--force', '--json'], { ...options, input }),
  );
  assert.equal(again.old, 'config.toml.old');
  assert.match(again.checks.at(-1).text, /answers with the pinned certificate/);
  await box.fails(['setup', 'main', '--force', '--answers', '-'], 2, 'USAGE', {
    ...options,
    input: '{"push.metod": "x"}',
  });
  await box.fails(['setup', 'main', '--force', '--answers', '-'], 2, 'CONFIG_INVALID', {
    ...options,
    input: '{"push.method": "x"}',
  });
});

test('apps shows what is covered; a push reports by mail, webhook and monitor, without a secret in it', async () => {
  configure(`[store]\nstate = "${box.path('state')}"\n[apps]\nexclude = ["blog"]\n${report()}`);
  const rows = jsonLines(await box.ok(['apps', '--json'], options));
  assert.deepEqual(
    rows.map(({ name, covered }) => [name, covered]),
    [
      ['system', true],
      ['wiki', true],
      ['blog', false],
    ],
  );
  const pushed = JSON.parse(await box.ok(['push', '--json'], options));
  assert.deepEqual([pushed.complete, pushed.status, pushed.exitCode], [true, 'ok', 0]);
  assert.match(lastMail().headers, /^To: admin@example\.org$/m);
  assert.match(lastMail().headers, /^Subject: \[fallback\] OK: /m);
  assert.match(lastMail().body, /wiki: saved/);
  assert.match(lastMail().body, /Not covered:\n {2}blog: excluded/);
  assert.equal(asked[0]?.url, '/ping/uuid/start');
  assert.deepEqual(
    asked
      .slice(1)
      .map(({ url }) => url)
      .sort(),
    ['/hook?token=sesame', '/ping/uuid'],
  );
  assert.equal(JSON.parse(asked.find(({ url }) => url.startsWith('/hook'))?.body ?? '').facts.snapshot, 1);
  const secret = readFileSync(box.path('state/secret'), 'utf8').trim();
  for (const text of [...mails(), lastMail().body, ...asked.map(({ body }) => body)]) assert.ok(!text.includes(secret));
  assert.deepEqual(leftovers(), []);
});

test('an app fails: exit code 3, and the report says so first; a report that cannot be sent fails nothing', async () => {
  setFaults(main.root, [{ match: '--apps wiki', kind: 'app-fails', app: 'wiki' }]);
  const ended = await box.run(['push'], options);
  setFaults(main.root, []);
  assert.equal(ended.code, 3, ended.stderr);
  assert.match(ended.stdout, /^WARNING: .* is INCOMPLETE: wiki\n/);
  assert.match(ended.stdout, /wiki: FAILED; its archive of .* is kept/);
  assert.match(ended.stdout, /Next: see why `yunohost backup create --apps wiki` fails/);
  assert.ok(asked.slice(-2).some(({ url }) => url === '/ping/uuid/fail'));
  configure(
    `[store]\nstate = "${box.path('state')}"\n[report]\nmail = "always"\nsendmail = "/nonexistent"\nwebhook = "http://127.0.0.1:1/x"\n`,
  );
  const unsent = await box.run(['push'], options);
  assert.equal(unsent.code, 0, unsent.stderr);
  assert.match(unsent.stderr, /mail could not be sent/);
  assert.match(unsent.stderr, /did not reach 127\.0\.0\.1:1/);
});

for (const method of ['archive', 'stream'] as const) {
  test(`${method}: two at once, SIGTERM, SIGKILL in the middle; the next run cleans and goes on`, async () => {
    configure(`[store]\nstate = "${box.path('state')}"\n[push]\nmethod = "${method}"\n${report()}`);
    const at = method === 'archive' ? 'archive-content' : 'collected';
    const hang = [{ match: '^backup create .*--apps wiki', kind: 'hang', at } as const];
    const sent = mails().length;
    setFaults(main.root, hang);
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const before = readCalls(main.root).length;
      const child = box.start(['push'], options);
      const isHanging = (): boolean =>
        readCalls(main.root)
          .slice(before)
          .some(({ argv }) => argv.includes('create') && argv.includes('wiki'));
      let said = '';
      child.stderr?.on('data', (data: Buffer) => {
        said += data.toString();
      });
      for (const startedMs = Date.now(); !isHanging(); await sleep(100)) {
        assert.equal(child.exitCode, null, said);
        if (Date.now() - startedMs < 40_000) continue;
        const lock = readFileSync(main.path('/var/run/moulinette_yunohost.lock'), 'utf8');
        child.kill('SIGKILL');
        assert.fail(
          `it did not come so far; lock ${lock}; ${JSON.stringify(readCalls(main.root).slice(before))}; ${said}`,
        );
      }
      await sleep(500);
      if (signal === 'SIGTERM') await box.fails(['push'], 10, 'BUSY', options);
      await stop(child, signal);
      const hung = readCalls(main.root).findLast(({ argv }) => argv.includes('create') && argv.includes('wiki'));
      if (signal === 'SIGTERM') {
        assert.deepEqual(leftovers(), []);
        assert.ok(!existsSync(`/proc/${hung?.pid}`));
      } else {
        assert.notDeepEqual(leftovers(), []);
      }
    }
    assert.equal(mails().length, sent, 'neither a busy nor an interrupted run sends a mail');
    setFaults(main.root, []);
    const ended = await box.run(['push'], options);
    assert.equal(ended.code, 0, ended.stderr);
    assert.match(ended.stderr, /removed what an earlier run left/);
    assert.deepEqual(leftovers(), []);
  });
}

test('the timer’s push waits until its window opens, and ends when it is told to', async () => {
  const later = new Date(Date.now() + 2 * 3_600_000);
  const time = (hours: number): string => `${String((later.getHours() + hours) % 24).padStart(2, '0')}:00`;
  configure(`[store]\nstate = "${box.path('state')}"\n[push]\nwindow = "${time(0)}-${time(1)}"\n${report()}`);
  const sent = mails().length;
  const child = box.start(['push', '--scheduled'], options);
  let said = '';
  child.stderr?.on('data', (data: Buffer) => {
    said += data.toString();
  });
  while (!said.includes('waiting until push.window opens')) {
    assert.equal(child.exitCode, null, said);
    await sleep(100);
  }
  // It holds nothing meanwhile.
  const byHand = await box.run(['push'], options);
  assert.equal(byHand.code, 0, byHand.stderr);
  assert.equal(child.exitCode, null, said);
  await stop(child, 'SIGTERM');
  assert.match(said, /code: INTERRUPTED/);
  assert.equal(mails().length, sent + 1, 'that of the push by hand');
});

test('a night whose window the clock went past is told: its silence would look like success', async () => {
  // By this clock it is two seconds before the window opens until the wait begins; then summer time does.
  const clock =
    'let nowMs = new Date().setHours(2, 9, 58, 0); Date.now = () => nowMs; const write = process.stderr.write;' +
    'process.stderr.write = function (text, ...more) {' +
    '  if (String(text).includes("waiting until")) setTimeout(() => { nowMs += 3600000; }, 100);' +
    '  return write.call(this, text, ...more); };';
  configure(`[store]\nstate = "${box.path('state')}"\n[push]\nwindow = "02:10-02:50"\n${report()}`);
  const sent = mails().length;
  await box.fails(['push', '--scheduled'], 1, 'WINDOW_MISSED', {
    ...options,
    environment: {
      ...options.environment,
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(clock)}`,
    },
  });
  assert.equal(mails().length, sent + 1);
  assert.match(lastMail().body, /Code: WINDOW_MISSED/);
});

test('a push that fails as a whole is reported too, with what to do next', async () => {
  setFaults(main.root, [{ match: '^app list', kind: 'traceback', message: 'boom' }]);
  await box.fails(['push'], 1, 'YUNOHOST_FAILED', options);
  setFaults(main.root, []);
  assert.match(lastMail().headers, /^Subject: \[fallback\] FAILED: push on /m);
  assert.match(lastMail().body, /boom/);
  assert.ok(asked.slice(-2).some(({ url }) => url === '/ping/uuid/fail'));
});

test('alarm: silence is told once, and its end too', async () => {
  const alarm = (age: string): void =>
    configure(
      `[server]\nrole = "fallback"\n[store]\nstate = "${box.path('fallback-state')}"\nfolder = "${box.path('store')}"\n[alarm]\nmax_age = "${age}"\n[retention]\ndaily = 5\n${report()}`,
    );
  const sent = mails().length;
  alarm('7d');
  assert.match(await box.ok(['alarm'], options), /main\.test: last complete snapshot/);
  alarm('1s');
  await sleep(1_100);
  assert.match(await box.ok(['alarm'], options), /TOO OLD/);
  assert.match(await box.ok(['alarm'], options), /TOO OLD/);
  assert.equal(mails().length, sent + 1);
  assert.match(lastMail().headers, /ALARM: no complete backup of main\.test/);
  alarm('7d');
  await box.ok(['alarm'], options);
  assert.equal(mails().length, sent + 2);
  assert.match(lastMail().headers, /OK again/);
  assert.match(await box.ok(['retention', 'policy', '--dir', 'store']), /then daily +5 days/);
  await box.fails(['push'], 2, 'USAGE', options);
});

test('alarm: a store that does not open is told once, and again after it did', async () => {
  const alarm = (folder: string): void =>
    configure(
      `[server]\nrole = "fallback"\n[store]\nstate = "${box.path('fallback-state')}"\nfolder = "${box.path(folder)}"\n${report()}`,
    );
  const sent = mails().length;
  for (const expected of [1, 2]) {
    alarm('unmounted');
    for (let look = 0; look < 2; look++) await box.fails(['alarm'], 1, 'STORE_INVALID', options);
    assert.equal(mails().length, sent + expected);
    assert.match(lastMail().headers, /FAILED: alarm on /);
    alarm('store');
    await box.ok(['alarm'], options);
  }
});
