// Memory stays flat whatever the archive's length: 24 GB to a stream and to a (mostly sparse) file.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import type { Run } from '../../../src/format/recipe.ts';
import { newRestoreCounters, restoreArchiveToFile } from '../../../src/sync/restore/restore-archive.ts';
import { restoreArchiveToStream } from '../../../src/sync/restore/restore-stream.ts';
import { makeMemoryRepository, withSession } from '../../support/client-fixture.ts';
import { inFolder, noise } from '../read/archives.ts';
import { addPack } from './synthetic-archive.ts';

const MiB = 1024 * 1024;
const packBytes = 4 * MiB;
const lengthBytes = 12 * 1024 * MiB;

test('12 GB to a stream and to a file in under 400 MB', async () => {
  const fixture = makeMemoryRepository();
  const zeros = new Uint8Array(packBytes);
  for (let number = 1; number <= 8; number++) {
    const bytes = number === 8 ? noise(packBytes, 1) : zeros;
    const chunks = Array.from({ length: packBytes / MiB }, (_, at) => bytes.subarray(at * MiB, (at + 1) * MiB));
    addPack(fixture, number, chunks);
  }
  const runs: Run[] = [];
  const hash = createHash('sha256');
  const data = noise(packBytes, 1);
  for (let index = 0; index < lengthBytes / packBytes; index++) {
    const pack = index % 100 === 99 ? 8 : 1 + (index % 7);
    runs.push({ pack, first: 0, count: packBytes / MiB, bytes: packBytes });
    hash.update(pack === 8 ? data : zeros);
  }
  const recipe = { lengthBytes: runs.length * packBytes, sha256: new Uint8Array(hash.digest()), nested: false, runs };
  const archive = { name: 'app', status: 'saved', savedAtMs: 0, recipe, catalogue: undefined, attributes: {} } as const;
  let peak = 0;
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().rss);
  }, 50);
  try {
    await withSession(fixture.repository, fixture.secret, async (session) => {
      const stream = new Writable({ write: (_piece, _encoding, done) => done() });
      await restoreArchiveToStream({ session, archive, stream, counters: newRestoreCounters() });
      await inFolder(async (folder) => {
        const path = join(folder, 'app.tar');
        await restoreArchiveToFile({ session, archive, path, counters: newRestoreCounters(), overwrite: false });
        const { size, blocks } = await stat(path);
        assert.equal(size, recipe.lengthBytes);
        assert.ok(blocks * 512 < lengthBytes / 50, `${blocks} blocks`);
      });
    });
  } finally {
    clearInterval(timer);
  }
  assert.ok(peak < 400 * MiB, `${Math.round(peak / MiB)} MiB`);
});
