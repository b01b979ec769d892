// Starting: who reads "started" may rely on everything that the server notes for others.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { freePort, isListening } from '../../bench/measure/ports.ts';
import { FallbackError } from '../../src/errors/fallback-error.ts';
import { ServerFixture } from './server-fixture.ts';

test('what is awaited once it listens is done before it says that it has started', async () => {
  const seen: string[] = [];
  await using fixture = await ServerFixture.start(
    {},
    {
      log: (line) => seen.push(JSON.parse(line).event),
      onListening: async ({ address, certificateSha256 }) => {
        assert.ok(await isListening(address.port));
        assert.equal(certificateSha256?.byteLength, 32);
        seen.push('noted');
      },
    },
  );
  assert.ok(fixture.port > 0);
  assert.deepEqual(seen, ['noted', 'started']);
});

test('a server that cannot note its address does not start, and leaves its port free', async () => {
  const port = await freePort();
  const lines: string[] = [];
  const start = ServerFixture.start(
    {},
    {
      listen: { host: '127.0.0.1', port },
      log: (line) => lines.push(line),
      onListening: () => Promise.reject(new FallbackError('DISK_FULL', 'no room')),
    },
  );
  await assert.rejects(start, { code: 'DISK_FULL' });
  assert.deepEqual(lines, []);
  assert.equal(await isListening(port), false);
});
