// Numbers for people, values from people, and the progress line.
import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import fc from 'fast-check';
import { Output } from '../../src/cli/output.ts';
import {
  parseDurationMs,
  parseFingerprint,
  parseHostPort,
  parsePercent,
  parseSizeBytes,
  showHostPort,
} from '../../src/cli/parse-values.ts';
import { describeProgress, fitLine, startProgress } from '../../src/cli/progress-line.ts';
import { layRecoverySheet } from '../../src/cli/recovery-sheet.ts';
import {
  showAge,
  showBytes,
  showCount,
  showDuration,
  showFingerprint,
  showPercent,
  showText,
  showTimeLeft,
} from '../../src/cli/show.ts';
import { layTable } from '../../src/cli/table.ts';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { wordsOf } from './support/fallback-process.ts';

test('sizes: decimal, three significant digits, never 1000 of a unit', () => {
  const shown = [
    0, 1, 999, 1000, 1234, 9_994, 9_999, 99_949, 99_950, 123_456, 999_499, 999_500, 1_230_000, 4.56e9, 7.89e12,
  ];
  assert.deepEqual(shown.map(showBytes), [
    '0 B',
    '1 B',
    '999 B',
    '1.00 kB',
    '1.23 kB',
    '9.99 kB',
    '10.0 kB',
    '99.9 kB',
    '100 kB',
    '123 kB',
    '999 kB',
    '1.00 MB',
    '1.23 MB',
    '4.56 GB',
    '7.89 TB',
  ]);
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 50 }), (bytes) => {
      const text = showBytes(bytes);
      assert.match(text, /^(\d{1,3} B|\d\.\d\d .B|\d\d\.\d .B|\d{3} .B)$/);
    }),
  );
});

test('times, ages, shares, counts', () => {
  assert.deepEqual([450, 12_300, 59_960, 185_000, 3_725_000, 5e8].map(showDuration), [
    '0.45 s',
    '12.3 s',
    '1 min 00 s',
    '3 min 05 s',
    '1 h 02 min',
    '5 days 18 h',
  ]);
  assert.deepEqual([900, 61_000, 8_000_000].map(showTimeLeft), ['1 s', '2 min', '2 h 14 min']);
  const now = 1e12;
  assert.deepEqual(
    [now, now - 300_000, now - 7.3e6, now - 2.6e8, now + 2.6e8].map((time) => showAge(time, now)),
    ['just now', '5 min ago', '2 h ago', '3 days ago', 'in 3 days'],
  );
  assert.deepEqual(
    [showPercent(0, 5), showPercent(1, 10_000), showPercent(9_999, 10_000), showPercent(5, 5), showPercent(44, 100)],
    ['0 %', '0.1 %', '99 %', '100 %', '44 %'],
  );
  assert.equal(showCount(1, 'archive'), '1 archive');
  assert.equal(showCount(1_234_567, 'chunk'), '1 234 567 chunks');
});

test('text from outside steers no terminal', () => {
  assert.equal(showText('a\u001b[2Jb\nc\u202ed'), 'a\\x1b[2Jb\\x0ac\\u{202e}d');
  assert.equal(showText('Grüße, 世界'), 'Grüße, 世界');
});

test('tables line up', () => {
  assert.deepEqual(
    layTable(
      [{ title: 'A' }, { title: 'N', right: true }],
      [
        ['long one', '5'],
        ['x', '123'],
      ],
    ),
    ['A           N', 'long one    5', 'x         123'],
  );
});

const refused = (work: () => unknown): void => assert.throws(work, (error) => isFallbackError(error, 'USAGE'));

test('values from people: right ones in many forms, wrong ones as USAGE', () => {
  assert.deepEqual(['90s', '30min', '15m', '1h', '2d'].map(parseDurationMs), [9e4, 1.8e6, 9e5, 3.6e6, 1.728e8]);
  for (const wrong of ['', '1', '-1h', '1y', '0h', '1e3s']) refused(() => parseDurationMs(wrong));
  assert.deepEqual(['500', '500MB', '20G', '1.5TB', '20GiB'].map(parseSizeBytes), [
    500,
    5e8,
    2e10,
    1.5e12,
    20 * 2 ** 30,
  ]);
  for (const wrong of ['', '0', 'GB', '5iB', '5XB', '-5GB', '1e5']) refused(() => parseSizeBytes(wrong));
  const parse = parseHostPort(7443);
  assert.deepEqual(
    ['example.org', 'example.org:1', '[::1]:99', '[::1]', '2001:db8::1', '0.0.0.0:80'].map((text) =>
      showHostPort(parse(text)),
    ),
    ['example.org:7443', 'example.org:1', '[::1]:99', '[::1]:7443', '[2001:db8::1]:7443', '0.0.0.0:80'],
  );
  for (const wrong of ['', 'https://x', 'a b', 'x:99999', 'x:y', 'x/']) refused(() => parse(wrong));
  const hex = '0123456789abcdef'.repeat(4);
  assert.equal(parseFingerprint(showFingerprint(hex)), hex);
  assert.equal(parseFingerprint(hex.toUpperCase().replace(/(..)(?=.)/g, '$1:')), hex);
  for (const wrong of ['', hex.slice(1), `${hex.slice(1)}g`]) refused(() => parseFingerprint(wrong));
  assert.deepEqual(['10', '10%', '0.5 %', '100'].map(parsePercent), [10, 10, 0.5, 100]);
  for (const wrong of ['0', '101', 'x', '']) refused(() => parsePercent(wrong));
});

test('the recovery sheet: everything on it, and its words read back in order', () => {
  const phrase = 'able baker cat dog easy fox golf house ink jump kilo lima';
  const sheet = {
    repositoryName: 'main.test',
    repositoryId: 'ab'.repeat(16),
    hostName: 'main',
    address: 'backup.test:7443',
    certificateSha256: 'cd'.repeat(32),
    phrase,
    phraseLabel: '01020304',
    isEncrypted: true,
    madeAtMs: 0,
  };
  const text = layRecoverySheet(sheet).join('\n');
  assert.equal(wordsOf(text), phrase);
  assert.match(text, /fallback connect backup\.test:7443 --fingerprint cdcdcdcd-/);
  assert.match(layRecoverySheet({ ...sheet, certificateSha256: undefined }).join('\n'), /--public-certificate/);
});

test('the progress line: the important first, and never wider than the terminal', () => {
  const state = { what: 'Pushing', done: 412e6, total: 929e6, part: '3 of 9 archives done', sentBytes: 12.3e6 };
  const parts = describeProgress(state, 145e6);
  assert.deepEqual(parts, [
    'Pushing',
    '44 %',
    '412 MB of 929 MB',
    '145 MB/s',
    'sent 12.3 MB',
    '4 s left',
    '3 of 9 archives done',
  ]);
  assert.equal(fitLine(parts, 40), 'Pushing  44 %  412 MB of 929 MB');
  assert.equal(
    describeProgress({ what: 'X', done: 2, total: undefined, unit: 'members' }, 1).join('  '),
    'X  2 members  1 members/s',
  );
  for (let columns = 0; columns < 120; columns++) assert.ok(fitLine(parts, columns).length <= columns);
});

interface Screen {
  readonly text: () => string;
  readonly stderr: NodeJS.WriteStream;
}

function screen(isTTY: boolean): Screen {
  const stream = Object.assign(new PassThrough(), { isTTY, columns: 0 });
  let text = '';
  stream.on('data', (data: Buffer) => {
    text += data.toString();
  });
  return { text: () => text, stderr: stream as unknown as NodeJS.WriteStream };
}

async function drive(isTTY: boolean, mode: { json: boolean; quiet: boolean }, environment = {}): Promise<string> {
  const { text, stderr } = screen(isTTY);
  const world = { stderr, stdout: stderr, environment, monotonicMs: () => performance.now() };
  const output = new Output(world, mode);
  const progress = startProgress(world, output, () => ({ what: 'Working', done: 1, total: 2 }));
  await new Promise((resolve) => setTimeout(resolve, 400));
  progress.stop();
  output.line('done');
  return text();
}

test('on a terminal the line is drawn and gone; in a log, with --quiet and --json it is not there', async () => {
  const drawn = await drive(true, { json: false, quiet: false });
  assert.ok(drawn.includes('\r\u001b[KWorking  50 %  1 B of 2 B'), JSON.stringify(drawn));
  assert.ok(drawn.endsWith('\r\u001b[Kdone\n'), JSON.stringify(drawn));
  assert.ok(drawn.split('Working').length <= 5, 'at most eight times a second');
  assert.equal(await drive(false, { json: false, quiet: false }), 'done\n');
  assert.equal(await drive(true, { json: false, quiet: false }, { TERM: 'dumb' }), 'done\n');
  assert.equal(await drive(true, { json: false, quiet: true }), '');
  assert.equal(await drive(true, { json: true, quiet: false }), '');
});
