import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CompressionLevel, type PackQueues } from '../../../src/sync/push/compression-level.ts';

const packBytes = 4 * 1024 * 1024;
const lineIsFree: PackQueues = { sealedWaiting: 0, unsealedWaiting: 1 };
const lineIsSlow: PackQueues = { sealedWaiting: 2, unsealedWaiting: 0 };
const bothAreBusy: PackQueues = { sealedWaiting: 1, unsealedWaiting: 2 };

function levels(level: CompressionLevel, count: number, queues: PackQueues): number[] {
  return Array.from({ length: count }, () => level.next(packBytes, queues));
}

test('a first push on a fast line stays at level 1, also when some packs had to wait', () => {
  const level = new CompressionLevel(true);
  assert.deepEqual(levels(level, 20, lineIsFree), new Array(20).fill(1));
  assert.deepEqual(levels(level, 3, lineIsSlow), [1, 1, 1]);
  assert.deepEqual(levels(level, 3, bothAreBusy), [1, 1, 1]);
});

test('a line that stays slow is worth more and more effort, and no more once it is fast', () => {
  const level = new CompressionLevel(true);
  const slow = levels(level, 40, lineIsSlow);
  assert.deepEqual([...new Set(slow)], [1, 3, 6, 9, 12]);
  assert.deepEqual(levels(level, 5, lineIsFree), [9, 6, 3, 1, 1]);
});

test('a night’s few packs are compressed well; one with much that is new goes on as a first push does', () => {
  const level = new CompressionLevel(false);
  assert.deepEqual(levels(level, 11, lineIsFree), [6, 6, 6, 6, 6, 6, 6, 6, 3, 1, 1]);
});
