// docs/FORMAT.md's table of limits is limits.ts.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { limits } from '../../src/format/limits.ts';

test('docs/FORMAT.md lists every limit with its value', () => {
  const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| `(\w+Max)` \| ([\d,]+) \|/gm)].map(([, name = '', value = '']) => [
    name,
    Number(value.replaceAll(',', '')),
  ]);
  assert.deepEqual(Object.fromEntries(rows), { ...limits });
  assert.equal(rows.length, Object.keys(limits).length, 'a limit is listed twice');
});
