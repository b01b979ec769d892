// docs/ERRORS.md lists exactly the codes there are, with what they do.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorCodes } from '../../src/errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../../src/errors/fallback-error.ts';

const page = readFileSync(new URL('../../docs/ERRORS.md', import.meta.url), 'utf8');

/** The cells of every row of the table whose first column is `head`. */
function rowsOf(head: string): string[][] {
  const lines = page.split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${head} |`)) + 2;
  const end = lines.findIndex((line, index) => index >= start && !line.startsWith('|'));
  return lines.slice(start, end).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  );
}

test('docs/ERRORS.md: every code, in the table’s order, with its exit code, retry and hint', () => {
  const listed = rowsOf('code').map(([code, exit, retry, , hint]) => ({ code, exit: Number(exit), retry, hint }));
  const expected = Object.entries(errorCodes).map(([code, { exitCode, retry, hint }]) => ({
    code,
    exit: exitCode,
    retry,
    hint,
  }));
  assert.deepEqual(listed, expected);
});

test('docs/ERRORS.md: every code says what it means, and every exit code is explained', () => {
  for (const [code, , , meaning] of rowsOf('code')) assert.ok((meaning ?? '').length > 10, code);
  const explained = new Set(rowsOf('exit').map(([exit]) => Number(exit)));
  for (const { exitCode } of Object.values(errorCodes)) assert.ok(explained.has(exitCode));
});

test('an error carries its row of the table, its cause, and a hint of its own when it has one', () => {
  const cause = new Error('below');
  const error = new FallbackError('BUSY', 'Somebody pushes.', { cause, details: { holder: 'main' } });
  assert.deepEqual(
    [error.code, error.exitCode, error.retry, error.hint, error.cause, error.details['holder'], error.name],
    ['BUSY', 10, 'later', errorCodes.BUSY.hint, cause, 'main', 'FallbackError'],
  );
  assert.equal(new FallbackError('IO', 'x', { hint: 'Look.' }).hint, 'Look.');
  assert.ok(!('cause' in new FallbackError('IO', 'x')));
});

test('telling errors apart', () => {
  const error = new FallbackError('IO', 'x');
  assert.ok(isFallbackError(error) && isFallbackError(error, 'IO') && !isFallbackError(error, 'BUSY'));
  assert.ok(!isFallbackError(new Error('IO')) && !isFallbackError(undefined));
});

test('hints are sentences for people, and busy is never forever', () => {
  for (const [code, { hint, exitCode, retry }] of Object.entries(errorCodes)) {
    assert.match(hint, /[.]$/, code);
    if (exitCode === 10) assert.notEqual(retry, 'never', code);
  }
});
