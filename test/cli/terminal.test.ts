// On a terminal: secrets are asked for and not shown, the sheet is confirmed, the progress line comes and goes.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { compileCache, launcher, Sandbox } from './support/fallback-process.ts';

const hasScript = spawnSync('script', ['--version']).status === 0;
/** To the line's start, and all of it away. */
const redraw = '\r\u001b[K';
const passphrase = 'typed but never shown';
let box: Sandbox;
let code = '';

before(async () => {
  if (!hasScript) return;
  box = await Sandbox.make();
  await box.serve(box.path('store'), ['--no-maintenance']);
  code = JSON.parse(await box.ok(['invite', '--dir', 'store', '--json'])).code;
});

after(async () => {
  await box?.[Symbol.asyncDispose]();
});

/** The command under a pseudo-terminal: what it shows, and a way to type. */
class Terminal {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  shown = '';

  constructor(args: readonly string[]) {
    const line = [launcher, ...args].map((word) => `'${word}'`).join(' ');
    const environment = {
      PATH: process.env['PATH'],
      HOME: box.folder,
      TERM: 'xterm',
      NODE_COMPILE_CACHE: compileCache,
      FALLBACK_TEST_RUN: process.env['FALLBACK_TEST_RUN'],
    };
    this.#child = spawn('script', ['-qec', `stty cols 100; exec ${line}`, '/dev/null'], {
      cwd: box.folder,
      env: environment,
    });
    this.#child.stdout?.on('data', (data: Buffer) => {
      this.shown += data.toString();
    });
    this.#ended = new Promise((done) => this.#child.once('close', done));
  }

  /** Waits until `text` was shown after `from`, then types. */
  async answer(text: string, typed: string, from = 0): Promise<number> {
    for (let waitedMs = 0; !this.shown.includes(text, from); waitedMs += 20) {
      assert.ok(waitedMs < 20_000, `never shown: ${text}\n${this.shown}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const at = this.shown.indexOf(text, from) + text.length;
    // The question is out a moment before the terminal stops to echo.
    await new Promise((resolve) => setTimeout(resolve, 100));
    this.#child.stdin?.write(typed);
    return at;
  }

  async end(): Promise<number | null> {
    return await this.#ended;
  }
}

test('init asks for a passphrase twice, without echo, and for a look at the sheet', { skip: !hasScript }, async () => {
  await writeFile(box.path('code'), code, { mode: 0o600 });
  const terminal = new Terminal(['init', '--code-file', 'code', '--state', box.path('main')]);
  let at = await terminal.answer('New passphrase (empty for none): ', `${passphrase}\r`);
  at = await terminal.answer('The same once more: ', 'something else\r', at);
  at = await terminal.answer('They differ', '', at);
  at = await terminal.answer('New passphrase (empty for none): ', `wrong\u0015${passphrase}x\u007f\r`, at);
  at = await terminal.answer('The same once more: ', `${passphrase}\r`, at);
  await terminal.answer('press Enter', '\r', at);
  assert.equal(await terminal.end(), 0, terminal.shown);
  assert.ok(!terminal.shown.includes(passphrase));
  assert.match(terminal.shown, /Recovery phrase [0-9a-f]{8}, twelve words/);
});

test('the passphrase that was typed opens the repository', { skip: !hasScript }, async () => {
  await writeFile(box.path('a.tar'), randomBytes(3_000_000));
  const push = new Terminal(['push', 'a.tar', '--limit-upload', '2000', '--state', box.path('main')]);
  assert.equal(await push.end(), 0, push.shown);
  assert.ok(push.shown.includes(`${redraw}Pushing  `), push.shown);
  const report = push.shown.slice(push.shown.lastIndexOf(redraw) + redraw.length);
  assert.match(report, /^Snapshot 1 is complete: 1 archive/, 'the line is gone before the report');
  const terminal = new Terminal(['snapshots', '--dir', 'store']);
  await terminal.answer('Passphrase: ', `${passphrase}\r`);
  assert.equal(await terminal.end(), 0, terminal.shown);
  assert.match(terminal.shown, /1 {2}\d{4}-/);
  assert.ok(!terminal.shown.includes(passphrase));
});

test('Ctrl-C at a question changes nothing', { skip: !hasScript }, async () => {
  const terminal = new Terminal(['key', 'passphrase', '--state', box.path('main')]);
  await terminal.answer('New passphrase: ', 'half\u0003');
  assert.equal(await terminal.end(), 1);
  assert.match(terminal.shown, /code: INTERRUPTED/);
});

test('an archive is not poured over a terminal', { skip: !hasScript }, async () => {
  const terminal = new Terminal(['restore', 'latest', 'a', '--output', '-', '--state', box.path('main')]);
  assert.equal(await terminal.end(), 2);
  assert.match(terminal.shown, /does not belong on a terminal/);
});
