// What an admin is told when a name is not in an archive.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NearNames } from '../../../src/sync/read/near-names.ts';

const hintFor = (wanted: string, paths: readonly string[]): string => {
  const near = new NearNames(wanted);
  for (const path of paths) near.see(path);
  return near.toHint();
};

test('the archive’s own root is no name to offer', () => {
  assert.equal(hintFor('nothing-like-it', ['', 'data', 'apps']), 'The archive holds: data, apps.');
  assert.equal(hintFor('ap', ['', 'data', 'apps']), 'Did you mean: apps?');
  assert.equal(hintFor('x', ['']), '');
});
