// Makes the golden repository of test/fixtures/golden-1: a small store that every later version must restore. Run once for
// each format version, by hand: node scripts/bootstrap.mjs scripts/make-golden.ts FOLDER. It is never made anew.
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand, startServe } from '../bench/command.ts';
import { SeededRandom } from '../bench/nights/random.ts';
import { buildTar } from '../src/tar/tar-writer.ts';

const target = process.argv[2];
if (target === undefined) throw new Error('name the folder to make');
const random = new SeededRandom('golden');

function tar(files: Readonly<Record<string, Uint8Array>>): Uint8Array {
  const entries = Object.entries(files).map(([name, content]) => ({
    member: {
      name,
      type: 'file' as const,
      mode: 0o640,
      userId: 1007,
      groupId: 33,
      userName: 'nextcloud',
      groupName: 'www-data',
      modifiedSeconds: 1_758_209_844.25,
      sizeBytes: content.byteLength,
    },
    content,
  }));
  return buildTar(entries, 'pax');
}

const rows = (count: number, from: number): Uint8Array =>
  Buffer.from(
    Array.from({ length: count }, (_, row) => `INSERT INTO t VALUES (${row}, 'row ${(row * 31 + from) % 977}');`).join(
      '\n',
    ),
  );
const photo = random.bytes(20_000);
const settings = { 'conf/ynh/settings.yml': rows(30, 1), 'data/mail/alice/cur/1': rows(200, 2) };
const dump = Buffer.from(rows(40_000, 5));
/** The dump with a line of its own every 16 KiB: so many runs that its recipe is stored as chunks. */
const edited = Buffer.concat(
  Array.from({ length: Math.ceil(dump.length / 16_384) }, (_, piece) =>
    Buffer.concat([Buffer.from(`-- edit ${piece}\n`), dump.subarray(piece * 16_384, (piece + 1) * 16_384)]),
  ),
);
const nights = [
  {
    system: tar(settings),
    nextcloud: tar({ 'db.sql': rows(900, 3), 'été.jpg': photo }),
    wiki: tar({ 'db.sql': dump }),
  },
  {
    system: tar(settings),
    nextcloud: tar({ 'db.sql': rows(950, 3), 'album/été.jpg': photo }),
    wiki: tar({ 'db.sql': edited }),
  },
  { wiki: tar({ 'db.sql': edited }), 'not a tar': new Uint8Array(random.bytes(3000)), empty: new Uint8Array(0) },
];

const expected: Record<string, Record<string, string>> = {};
for (const [kind, init] of [
  ['encrypted', []],
  ['clear', ['--no-encryption']],
  ['fastcdc', ['--chunker', 'fastcdc-wasm']],
] as const) {
  const work = join(target, `.work-${kind}`);
  await mkdir(work, { recursive: true });
  const server = await startServe(join(target, kind));
  const invite = await runCommand([
    'invite',
    '--dir',
    server.folder,
    '--name',
    kind,
    '--address',
    server.address,
    '--json',
  ]);
  await writeFile(join(work, 'passphrase'), 'golden passphrase\n', { mode: 0o600 });
  const secret = kind === 'clear' ? [] : ['--passphrase-file', join(work, 'passphrase')];
  const state = ['--state', join(work, 'state')];
  const sheet = join(work, 'sheet');
  await runCommand(['init', (invite.json as { code: string }).code, ...state, ...secret, '--sheet', sheet, ...init]);
  for (const [index, archives] of nights.entries()) {
    const folder = join(work, `night${index + 1}`);
    await mkdir(folder);
    const hashes: Record<string, string> = {};
    for (const [name, bytes] of Object.entries(archives)) {
      await writeFile(join(folder, `${name}.tar`), bytes);
      hashes[name] = createHash('sha256').update(bytes).digest('hex');
    }
    await runCommand(['push', folder, ...state]);
    expected[String(index + 1)] = hashes;
  }
  await server.stop();
  const paper = await readFile(sheet, 'utf8');
  await writeFile(join(target, `${kind}.sheet.txt`), paper);
  await rm(work, { recursive: true });
  // What is rebuilt from the files, or belongs to one machine, has no place in a fixture.
  for (const name of await readdir(server.folder)) {
    if (/metadata\.sqlite|\.pem$|lock|^tmp/.test(name)) await rm(join(server.folder, name), { recursive: true });
  }
}
await writeFile(join(target, 'expected.json'), `${JSON.stringify(expected, undefined, 2)}\n`);
console.log(`made ${target}`);
