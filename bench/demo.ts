// npm run demo: three nights of a self-hosted server, its death, and the restore on an empty machine from the recovery sheet
// alone. Everything is real: the command, its processes, TLS, files. Nothing is left behind.
import { createReadStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runCommand, type ServeProcess, startServe } from './command.ts';
import { ServerModel } from './nights/server-model.ts';
import { writeNight } from './nights/write-night.ts';
import { megabytes, playDemo, say } from './play-demo.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const nights = 3;
const scale = 0.25;

function row(cells: readonly string[]): void {
  say(cells.map((cell, index) => (index === 0 ? cell.padEnd(9) : cell.padStart(13))).join(''));
}

/** Compares two folders of archives byte for byte. @returns how many bytes are the same. */
async function compareFolders(expected: string, actual: string): Promise<number> {
  const names = (await readdir(expected)).sort();
  const found = (await readdir(actual)).sort();
  if (names.join() !== found.join()) throw new Error(`expected ${names.join(', ')}, found ${found.join(', ')}`);
  let total = 0;
  for (const name of names) {
    const one = createReadStream(join(expected, name), { highWaterMark: 1 << 20 });
    const other = await readFile(join(actual, name));
    let at = 0;
    for await (const bytes of one as AsyncIterable<Buffer>) {
      if (Buffer.compare(bytes, other.subarray(at, at + bytes.length)) !== 0)
        throw new Error(`${name} differs near byte ${at}`);
      at += bytes.length;
    }
    if (at !== other.length) throw new Error(`${name} has ${other.length} bytes instead of ${at}`);
    total += at;
  }
  return total;
}

interface PushReport {
  readonly readBytes: number;
  readonly newBytes: number;
  readonly wireSentBytes: number;
}

async function pushNights(model: ServerModel, main: string, kept: string): Promise<void> {
  row(['', 'in', 'new', 'sent', 'in / sent', 'seconds']);
  for (let night = 1; night <= nights; night++) {
    if (night > 1) model.change();
    const folder = join(main, 'archives');
    await writeNight(model.archives(), folder);
    const started = performance.now();
    const report = (await runCommand(['push', folder, '--state', join(main, 'state'), '--json'])).json as PushReport;
    const seconds = (performance.now() - started) / 1000;
    const { readBytes, newBytes, wireSentBytes } = report;
    row([
      `night ${night}`,
      megabytes(readBytes),
      megabytes(newBytes),
      megabytes(wireSentBytes),
      `${(readBytes / wireSentBytes).toFixed(1)} : 1`,
      seconds.toFixed(1),
    ]);
    // Copies to compare with at the end: the main server itself will be gone.
    await rename(folder, join(kept, `night${night}`));
  }
}

/** What a person would copy from the sheet of paper. */
function readSheet(text: string): { address: string; fingerprint: string; phrase: string } {
  const command = /fallback connect (\S+) --fingerprint (\S+)/.exec(text);
  const words = [...text.matchAll(/\b(\d{1,2})[.)]?\s+([a-z]{3,8})\b/g)]
    .map(([, number, word]) => ({ number: Number(number), word: word ?? '' }))
    .sort((a, b) => a.number - b.number);
  if (command?.[1] === undefined || command[2] === undefined || words.length !== 12)
    throw new Error('the recovery sheet lacks something');
  return { address: command[1], fingerprint: command[2], phrase: words.map(({ word }) => word).join(' ') };
}

async function play(folder: string, onServer: (server: ServeProcess) => void): Promise<void> {
  const main = join(folder, 'main-server');
  const kept = join(folder, 'copies-to-compare');
  const empty = join(folder, 'new-machine');
  await Promise.all([main, kept, empty].map((path) => mkdir(path)));
  say(`Making three nights of a server with eight apps, mail and homes, from real files of this machine …`);
  const model = new ServerModel({ scale, codeFolders: [join(root, 'node_modules'), '/usr/share', '/usr/lib/python3'] });

  say('Starting a fallback server, and pairing the main server with it …\n');
  const server = await startServe(join(folder, 'fallback-server'));
  onServer(server);
  const invite = (
    await runCommand(['invite', '--dir', server.folder, '--name', 'main', '--address', server.address, '--json'])
  ).json;
  const { code } = invite as { code: string };
  await writeFile(join(main, 'passphrase'), 'correct horse battery staple\n', { mode: 0o600 });
  const sheet = join(folder, 'recovery-sheet.txt');
  await runCommand([
    'init',
    code,
    '--state',
    join(main, 'state'),
    '--passphrase-file',
    join(main, 'passphrase'),
    '--sheet',
    sheet,
  ]);
  await pushNights(model, main, kept);

  say('\nThe main server burns down: its archives, its keys, its index are gone. What is left is a sheet of paper:\n');
  await rm(main, { recursive: true });
  const paper = await readFile(sheet, 'utf8');
  say(paper.trimEnd().replace(/^/gm, '    '));
  const { address, fingerprint, phrase } = readSheet(paper);
  await rm(sheet);

  say('\nOn a new, empty machine:\n');
  await writeFile(join(empty, 'phrase'), `${phrase}\n`, { mode: 0o600 });
  const state = ['--state', join(empty, 'state')];
  say(`    $ fallback connect ${address} --fingerprint …`);
  await runCommand([
    'connect',
    address,
    '--fingerprint',
    fingerprint,
    '--phrase-file',
    join(empty, 'phrase'),
    ...state,
  ]);
  for (const snapshot of ['latest', '1']) {
    say(`    $ fallback restore ${snapshot} --to archives`);
    const started = performance.now();
    const target = join(empty, `archives-${snapshot}`);
    await runCommand(['restore', snapshot, '--to', target, ...state]);
    const seconds = (performance.now() - started) / 1000;
    const bytes = await compareFolders(join(kept, snapshot === 'latest' ? `night${nights}` : 'night1'), target);
    say(`      ${megabytes(bytes)} in ${seconds.toFixed(1)} s, every byte as it was`);
    await rm(target, { recursive: true });
  }
  say(`    $ fallback check --read-data`);
  await runCommand(['check', '--read-data', ...state]);
  say('      every pack opened, every snapshot complete');
}

if (process.argv[2] === 'yunohost') await import('./demo-yunohost.ts');
else await playDemo(play);
