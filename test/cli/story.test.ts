// The whole command over real TLS on loopback: serve, invite, init, push, and all that reads, until a new machine is
// connected from the printed sheet alone.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { freePort } from '../../bench/measure/ports.ts';
import { parseEpoch } from '../../src/format/ids.ts';
import { tarOf } from '../support/sample-archives.ts';
import { collect, connectArguments, jsonLines, launcher, Sandbox, stop, wordsOf } from './support/fallback-process.ts';

const passphrase = 'correct horse battery staple';
const newPassphrase = 'another thing entirely 42';
let box: Sandbox;
let server: Awaited<ReturnType<Sandbox['serve']>>;
let sheet = '';
let code = '';
const archives = new Map<string, Buffer>();

const rows = (count: number): Buffer =>
  Buffer.from(
    Array.from({ length: count }, (_, row) => `INSERT INTO t VALUES (${row}, ${(row * 7919) % 104729});`).join('\n'),
  );

async function secretFile(name: string, text: string): Promise<string> {
  await writeFile(box.path(name), `${text}\n`, { mode: 0o600 });
  return box.path(name);
}

const st = (name: string): string[] => ['--state', box.path(name)];

before(async () => {
  box = await Sandbox.make();
  await mkdir(box.path('archives'));
  archives.set(
    'system',
    Buffer.from(tarOf({ 'etc/a.conf': rows(50), 'db/dump.sql': rows(20_000), 'evil\u001b[2Jname': rows(3) })),
  );
  archives.set('nextcloud', Buffer.from(tarOf({ 'photo.jpg': randomBytes(600_000), 'settings/app.ini': rows(9) })));
  for (const [name, bytes] of archives) await writeFile(box.path(`archives/${name}.tar`), bytes);
  await secretFile('pass', passphrase);
  const listen = ['--listen', `127.0.0.1:${await freePort()}`];
  server = await box.serve(box.path('store'), ['--no-maintenance', ...listen]);
});

after(async () => {
  await box[Symbol.asyncDispose]();
});

test('invite makes a code, init uses it up, and the sheet holds all that is needed', async () => {
  const invited = JSON.parse(await box.ok(['invite', '--dir', 'store', '--name', 'main.test', '--json']));
  assert.equal(invited.address, `127.0.0.1:${server.port}`);
  code = invited.code;
  const made = JSON.parse(
    await box.ok(
      ['init', '--code-file', '-', '--passphrase-file', 'pass', '--sheet', 'sheet', '--json', ...st('main')],
      {
        input: code,
      },
    ),
  );
  assert.equal(made.encrypted, true);
  assert.equal(made.name, 'main.test');
  sheet = await readFile(box.path('sheet'), 'utf8');
  assert.equal((await stat(box.path('sheet'))).mode & 0o777, 0o600);
  assert.equal((await stat(box.path('main'))).mode & 0o777, 0o700);
  assert.match(sheet, /Whoever has this sheet can read every backup/);
  await assert.rejects(stat(join(box.path('main'), 'pairing.json')), 'the phrase is on this machine no more');
});

test('a second init on a paired machine, and a code used twice, are refused', async () => {
  await box.fails(['init', '--code-file', '-', '--passphrase-file', 'pass', ...st('main')], 1, 'ALREADY_EXISTS', {
    input: code,
  });
  await box.fails(['init', '--code-file', '-', '--passphrase-file', 'pass', ...st('other')], 5, 'PAIRING_INVALID', {
    input: code,
  });
  await box.fails(['init', '--code-file', '-', '--passphrase-file', 'pass', ...st('other')], 5, 'PAIRING_INVALID', {
    input: code.replace(/.$/, code.endsWith('a') ? 'b' : 'a'),
  });
});

test('push sends what is new, and next to nothing the second night', async () => {
  const first = JSON.parse(await box.ok(['push', 'archives', '--json', ...st('main')]));
  assert.equal(first.snapshot, 1);
  assert.equal(first.complete, true);
  assert.deepEqual(
    first.archives.map(({ name }: { name: string }) => name),
    ['nextcloud', 'system'],
  );
  assert.ok(first.wireSentBytes > first.packBytesSent);
  const text = await box.ok(['push', 'archives', ...st('main')]);
  assert.match(
    text,
    /^Snapshot 2 is complete: 2 archives, \d+(\.\d+)? kB read|^Snapshot 2 is complete: 2 archives, .* MB read/,
  );
  assert.match(text, /new +0 B in 0 chunks/);
  const third = JSON.parse(await box.ok(['push', 'archives/system.tar', '--json', ...st('main')]));
  assert.ok(third.wireSentBytes < 20_000, `an unchanged night sent ${third.wireSentBytes}`);
  assert.equal(await box.ok(['push', 'archives', '--quiet', ...st('main')]), '');
});

test('a gzipped archive comes back as a plain tar, and is called the same', async () => {
  await mkdir(box.path('zipped'));
  await writeFile(box.path('zipped/system.tar.gz'), gzipSync(archives.get('system') ?? Buffer.alloc(0)));
  const pushed = JSON.parse(await box.ok(['push', 'zipped', '--json', ...st('main')]));
  assert.deepEqual(pushed.archives[0].name, 'system');
  assert.equal(pushed.archives[0].bytes, archives.get('system')?.length);
});

test('snapshots, status, ls, diff and check say what is there', async () => {
  const listed = jsonLines(await box.ok(['snapshots', '--json', ...st('main')]));
  assert.deepEqual(
    listed.map(({ number }) => number),
    [1, 2, 3, 4, 5],
  );
  assert.match(await box.ok(['snapshots', ...st('main')]), /^SNAPSHOT +RECEIVED +AGE +ARCHIVES +SIZE +STATE\n +1 /);
  const status = JSON.parse(await box.ok(['status', '--json', ...st('main')]));
  assert.equal(status.mayPush, true);
  assert.equal(status.damaged, false);
  assert.equal(status.head.number, 5);
  assert.match(await box.ok(['status', ...st('main')]), /damage +none known/);
  assert.match(await box.ok(['ls', '1', ...st('main')]), /nextcloud +\d+ kB/);
  const members = await box.ok(['ls', '1', 'system', '-l', ...st('main')]);
  assert.match(members, /-rw-r--r-- {2}alice:alice .* db\/dump\.sql/);
  assert.ok(!members.includes('\u001b'), 'a name steers no terminal');
  assert.ok(members.includes('evil\\x1b[2Jname'));
  assert.equal(
    jsonLines(await box.ok(['ls', '1', 'system', 'db', '--json', ...st('main')]))[0]?.['name'],
    'db/dump.sql',
  );
  assert.match(await box.ok(['diff', '1', '2', ...st('main')]), /No difference/);
  assert.match(await box.ok(['diff', '2', '3', ...st('main')]), /- nextcloud/);
  assert.match(await box.ok(['check', ...st('main')]), /Every snapshot is complete/);
  const checked = JSON.parse(await box.ok(['check', '--read-data', '--json', ...st('main')]));
  assert.equal(checked.sound, true);
  assert.equal(checked.archivesRebuilt, 1);
});

test('restore brings archives back byte for byte: to a folder, a file, stdout, and single members', async () => {
  await box.ok(['restore', '1', '--to', 'out', ...st('main')]);
  for (const [name, bytes] of archives) assert.ok((await readFile(box.path(`out/${name}.tar`))).equals(bytes), name);
  await box.fails(['restore', '1', '--to', 'out', ...st('main')], 1, 'ALREADY_EXISTS');
  await box.ok(['restore', '1', '--to', 'out', '--overwrite', '--quiet', ...st('main')]);
  await box.ok(['restore', 'latest', 'system', '--output', 'one.tar', ...st('main')]);
  assert.ok((await readFile(box.path('one.tar'))).equals(archives.get('system') ?? Buffer.alloc(0)));
  const child = box.start(['restore', '2', 'nextcloud', '--output', '-', '--quiet', ...st('main')]);
  const chunks: Buffer[] = [];
  child.stdout?.on('data', (data: Buffer) => chunks.push(data));
  assert.equal((await collect(child)).code, 0);
  assert.ok(Buffer.concat(chunks).equals(archives.get('nextcloud') ?? Buffer.alloc(0)));
  await box.ok(['restore', '2', 'system', 'db/**', '--to', 'members', ...st('main')]);
  assert.ok((await readFile(box.path('members/db/dump.sql'))).equals(rows(20_000)));
  await box.fails(['restore', '2', 'system', 'nowhere', '--to', 'members', ...st('main')], 1, 'NOT_FOUND');
  // A link is not followed, and a device does not become a file.
  await symlink('one.tar', box.path('link'));
  await box.fails(['restore', '1', 'system', '--output', 'link', '--overwrite', ...st('main')], 1, 'UNSAFE_PATH');
  assert.equal(await readlink(box.path('link')), 'one.tar');
  const full = spawnSync('bash', ['-c', '"$0" "$@" > /dev/full', launcher, 'ls', '1', 'system', ...st('main')], {
    encoding: 'utf8',
  });
  assert.equal(full.status, 1, full.stderr);
  assert.match(full.stderr, /code: DISK_FULL/);
  // Whoever tries a passphrase out must not be told that it works.
  await box.fails(['snapshots', '--passphrase-file', 'pass', ...st('main')], 2, 'USAGE');
});

test('a new machine is connected from the sheet alone: it reads, and cannot push', async () => {
  const words = await secretFile('words', wordsOf(sheet));
  const connected = JSON.parse(
    await box.ok([...connectArguments(sheet), '--phrase-file', words, '--json', ...st('new')]),
  );
  assert.equal(connected.name, 'main.test');
  assert.equal(connected.mayPush, false);
  await box.ok(['restore', '1', 'system', '--output', 'rescued.tar', ...st('new')]);
  assert.ok((await readFile(box.path('rescued.tar'))).equals(archives.get('system') ?? Buffer.alloc(0)));
  await box.fails(['push', 'archives', ...st('new')], 5, 'FORBIDDEN');
  await box.fails([...connectArguments(sheet), '--phrase-file', words, ...st('new')], 1, 'ALREADY_EXISTS');
  const wrong = connectArguments(sheet).map((part) =>
    part.length > 60 ? part.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')) : part,
  );
  await box.fails([...wrong, '--phrase-file', words, ...st('none')], 5, 'CERTIFICATE_MISMATCH');
});

test('a granted token lets the new machine push', async () => {
  const words = await secretFile('words', wordsOf(sheet));
  await box.ok(['repositories', 'grant', 'main.test', '--token-file', 'token', '--dir', 'store']);
  assert.equal((await stat(box.path('token'))).mode & 0o777, 0o600);
  await box.ok([...connectArguments(sheet), '--phrase-file', words, '--push-token-file', 'token', ...st('new')]);
  assert.equal(JSON.parse(await box.ok(['push', 'archives', '--json', ...st('new')])).snapshot, 6);
});

test('the store’s folder is read without the server, by passphrase and by phrase', async () => {
  assert.equal(await stop(server.child, 'SIGTERM'), 0);
  assert.match((await box.fails(['snapshots', ...st('main')], 1, 'UNREACHABLE')).stderr, /Nothing listens/);
  assert.equal(
    jsonLines(await box.ok(['snapshots', '--dir', 'store', '--passphrase-file', 'pass', '--json'])).length,
    6,
  );
  await box.ok(['restore', '1', 'system', '--output', 'direct.tar', '--dir', 'store', '--phrase-file', '-'], {
    input: `${wordsOf(sheet)}\n`,
  });
  assert.ok((await readFile(box.path('direct.tar'))).equals(archives.get('system') ?? Buffer.alloc(0)));
  await secretFile('wrong', 'not this one');
  await box.fails(['ls', 'latest', '--dir', 'store', '--passphrase-file', 'wrong'], 5, 'KEY_WRONG');
  await box.fails(['ls', 'latest', '--dir', 'store'], 2, 'USAGE');
  server = await box.serve(box.path('store'), ['--no-maintenance', '--listen', `127.0.0.1:${server.port}`]);
});

test('keys: a new passphrase and a new sheet; the old ones are refused, and older documents open when asked for', async () => {
  await secretFile('newpass', newPassphrase);
  const changed = JSON.parse(
    await box.ok(['key', 'passphrase', '--passphrase-file', 'newpass', '--json', ...st('main')]),
  );
  assert.equal(changed.number, 2);
  const folder = ['ls', 'latest', '--dir', 'store', '--passphrase-file'];
  await box.ok([...folder, 'newpass']);
  const refused = await box.fails([...folder, 'pass'], 5, 'KEY_WRONG');
  assert.match(refused.stderr, /--key-document 1/);
  await box.ok([...folder, 'pass', '--key-document', '1']);
  await box.ok(['key', 'recovery', '--sheet', 'sheet2', ...st('main')]);
  const sheet2 = await readFile(box.path('sheet2'), 'utf8');
  assert.notEqual(wordsOf(sheet2), wordsOf(sheet));
  const old = [...connectArguments(sheet), '--phrase-file', 'words', ...st('late')];
  const replaced = await box.fails(old, 5, 'KEY_WRONG');
  assert.match(replaced.stderr, /replaced by a newer one/);
  await box.ok([...old, '--key-document', '2']);
  await secretFile('words2', wordsOf(sheet2));
  await box.ok([...connectArguments(sheet2), '--phrase-file', 'words2', ...st('later')]);
  const shown = jsonLines(await box.ok(['key', 'show', '--json', ...st('main')]));
  assert.deepEqual(
    shown.map(({ number, inForce }) => [number, inForce]),
    [
      [1, false],
      [2, false],
      [3, true],
    ],
  );
  assert.match(await box.ok(['key', 'show', ...st('main')]), /3 {2}in force {2}passphrase \(argon2id, 64 MiB/);
});

test('repositories, retention and scrub on the fallback server, beside its running server', async () => {
  assert.match(await box.ok(['repositories', '--dir', 'store']), /main\.test .* sound/);
  await box.ok(['repositories', 'quota', 'main.test', '500GB', '--dir', 'store']);
  assert.equal(JSON.parse(await box.ok(['status', '--json', ...st('main')])).quotaBytes, 500_000_000_000);
  const policy = JSON.parse(
    await box.ok(['retention', 'policy', '--floor', '2', '--keep-days', '0', '--dir', 'store', '--json']),
  );
  assert.equal(policy.floor, 2);
  assert.equal(policy.monthly, 12);
  await box.ok(['retention', 'pin', '1', '--dir', 'store']);
  const [dry] = jsonLines(await box.ok(['retention', '--dry-run', '--dir', 'store', '--json']));
  assert.equal(dry?.['dryRun'], true);
  assert.match(await box.ok(['retention', '--dir', 'store']), /1 +\S+ \S+ +pinned/);
  assert.match(await box.ok(['snapshots', ...st('main')]), /dropped, deleted after/);
  await box.ok(['retention', 'undelete', '2', '--dir', 'store']);
  assert.match(await box.ok(['scrub', '--dir', 'store']), /all sound/);
  const tokens = jsonLines(await box.ok(['repositories', 'tokens', 'main.test', '--dir', 'store', '--json']));
  assert.equal(tokens.length, 3);
  await box.ok(['repositories', 'revoke', 'main.test', String(tokens[2]?.['sha256']).slice(0, 8), '--dir', 'store']);
  await box.fails(['push', 'archives', ...st('new')], 5, 'UNAUTHORIZED');
  const revoked = await box.run(['status', ...st('new')]);
  assert.equal(revoked.code, 5);
  assert.match(revoked.stdout, /may read only: its push token was revoked/);
  assert.match(revoked.stderr, /repositories grant/);
  await box.ok(['repositories', 'grant', 'main.test', '--token-file', 'token2', '--dir', 'store']);
  const again = [...connectArguments(sheet), '--phrase-file', 'words', '--key-document', '2', ...st('new')];
  await box.fails(again, 1, 'ALREADY_EXISTS');
  assert.match(await box.ok([...again, '--push-token-file', 'token2']), /newest snapshot is \d+, made \d{4}-/);
  assert.equal(JSON.parse(await box.ok(['status', '--json', ...st('new')])).mayPush, true);
  await box.ok(['key', 'show', '--repository', 'main.test', ...st('new')]);
  await box.fails(['snapshots', '--repository', 'other', ...st('new')], 2, 'USAGE');
  await box.fails(['serve', '--dir', 'store', '--listen', '127.0.0.1:0'], 10, 'STORE_LOCKED');
  const taken = await box.fails(
    ['serve', '--dir', 'store2', '--listen', `127.0.0.1:${server.port}`],
    2,
    'CONFIG_INVALID',
  );
  assert.match(taken.stderr, /another program listens there\.\n.*--listen HOST:PORT/);
  for (const [name, hint] of [
    ['2001-01-01', /oldest that is kept, snapshot \d+, came later/],
    ['yesterday', /a date such as/],
    ['999', /snapshots up to/],
  ] as const) {
    assert.match((await box.fails(['ls', name, ...st('main')], 1, 'NOT_FOUND')).stderr, hint);
  }
});

test('two pushes at once on one machine: the second is told so, and exits with 10; Ctrl-C ends the first cleanly', async () => {
  await writeFile(box.path('large.tar'), randomBytes(12_000_000));
  const slow = box.start(['push', 'large.tar', '--limit-upload', '200', ...st('main')]);
  const ended = collect(slow);
  for (let holder: unknown; holder === undefined; ) {
    assert.equal(slow.exitCode, null, 'the first push ended too early');
    holder = JSON.parse(await box.ok(['status', '--json', ...st('main')])).leaseHolder;
  }
  const busy = await box.fails(['push', 'archives', ...st('main')], 10, 'BUSY');
  assert.match(busy.stderr, /under way on this machine: push, for \d+ seconds?, process \d+\. Nothing was changed/);
  assert.equal(slow.exitCode, null, 'the first goes on');
  slow.kill('SIGINT');
  const { code: exitCode, stderr } = await ended;
  assert.equal(exitCode, 1, stderr);
  assert.match(stderr, /code: INTERRUPTED/);
  assert.match(stderr, /goes on with what was already done/);
});

test('damage on the fallback server: found, named, exit code 4, and healed by the next push', async () => {
  const files = await readdir(box.path('store'), { recursive: true });
  const packs: { path: string; size: number }[] = [];
  for (const name of files.filter((one) => one.includes('packs'))) {
    const facts = await stat(box.path(join('store', name)));
    if (facts.isFile()) packs.push({ path: box.path(join('store', name)), size: facts.size });
  }
  const largest = packs.sort((a, b) => b.size - a.size)[0];
  assert.ok(largest !== undefined, `the store has packs: ${files.slice(0, 20).join(' ')}`);
  const bytes = await readFile(largest.path);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await writeFile(largest.path, bytes);
  const scrubbed = await box.run(['scrub', '--dir', 'store', '--json']);
  assert.equal(scrubbed.code, 4, scrubbed.stderr);
  assert.equal((jsonLines(scrubbed.stdout)[0]?.['damage'] as unknown[]).length, 1);
  assert.equal((await box.run(['status', ...st('main')])).code, 4);
  const listed = await box.run(['snapshots', ...st('main')]);
  assert.equal(listed.code, 4);
  assert.match(listed.stdout, /DAMAGED/);
  const remembered = async (): Promise<boolean> => (await readdir(box.path('main'))).includes('index.archives');
  assert.equal(await remembered(), true);
  assert.equal((await box.run(['check', ...st('main')])).code, 4);
  assert.equal(await remembered(), false);
  const pushed = await box.run(['push', 'archives', ...st('main')]);
  assert.match(pushed.stdout, /healed +1 lost pack/);
  await box.ok(['check', '--read-data', ...st('main')]);
});

test('after a takeover the old main server’s push is fenced off, and an older history is not trusted', async () => {
  const { openStore } = await import('../../src/store/open-store.ts');
  const environment = { nowMs: () => Date.now(), randomBytes: (count: number) => new Uint8Array(randomBytes(count)) };
  const store = await openStore({ folder: box.path('store'), environment });
  const [id] = await store.repositoryIds();
  assert.ok(id !== undefined);
  await (await store.repository(id)).raiseEpoch(parseEpoch(1));
  await store.close();
  await box.fails(['push', 'archives', ...st('main')], 5, 'FENCED');
  const status = await box.run(['status', ...st('main')]);
  assert.match(status.stdout, /may not push: the fallback server has taken over/);
  assert.match(status.stderr, /fallback update/);
  const trust = join(box.path('main'), 'trust.json');
  await writeFile(trust, (await readFile(trust, 'utf8')).replace(/"number":\d+/, '"number":99'));
  await box.fails(['snapshots', ...st('main')], 5, 'TRUST_ROLLBACK');
  await box.fails(['push', 'archives', ...st('main')], 5, 'TRUST_ROLLBACK');
});

test('no secret was ever seen in an output, a log or a process list', async () => {
  box.witness.assertUnseen(passphrase, 'the passphrase');
  box.witness.assertUnseen(newPassphrase, 'the new passphrase');
  box.witness.assertUnseen(wordsOf(sheet), 'the recovery phrase');
  for (const name of ['secret', 'push-token']) {
    box.witness.assertUnseen((await readFile(join(box.path('main'), name), 'utf8')).trim(), name);
  }
  box.witness.assertUnseen((await readFile(box.path('token'), 'utf8')).trim(), 'the granted token');
});
