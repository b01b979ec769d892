// Dates as people type them: ISO only, and none that no calendar has.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseMoment } from '../../src/sync/moment.ts';

test('a day means its end, a time is this machine’s unless it names a zone', () => {
  assert.equal(parseMoment('2026-11-22'), new Date(2026, 10, 22, 23, 59, 59, 999).getTime());
  assert.equal(parseMoment('2026-11-22 03:00'), new Date(2026, 10, 22, 3).getTime());
  assert.equal(parseMoment(' 2026-11-22T03:00:07 '), new Date(2026, 10, 22, 3, 0, 7).getTime());
  assert.equal(parseMoment('2026-11-22T03:00:00.5Z'), Date.UTC(2026, 10, 22, 3, 0, 0, 500));
  for (const zone of ['+01:00', '+0100'])
    assert.equal(parseMoment(`2026-11-22 03:00${zone}`), Date.UTC(2026, 10, 22, 2));
  assert.equal(parseMoment('2024-02-29'), new Date(2024, 1, 29, 23, 59, 59, 999).getTime());
});

test('what is read one way here and another there is no date', () => {
  const others = ['05/11/2026', '5.11.2026', '05-11-2026', '2026-02-31', '2026-02-29', '2026-13-01', '2026-00-10'];
  const odd = ['2026-11-22 24:00', '2026-11-22 03:61', '2026-11-22 3:00', '20261122', 'snapshot 99', 'Nov 5 2026', ''];
  for (const text of [...others, ...odd]) assert.equal(parseMoment(text), undefined, text);
});
