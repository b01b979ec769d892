// Eight clients push at once: the server stays under 200 MB, and stops cleanly on SIGTERM.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { parseEpoch, parseRepositoryId } from '../../src/format/ids.ts';
import { serverNodeFlags } from '../../src/server/node-flags.ts';
import { fetchCertificate } from '../../src/sync/http/fetch-certificate.ts';
import { HttpRepository } from '../../src/sync/http/http-repository.ts';
import { fakePack, newLeaseId } from '../support/fake-objects.ts';
import { clientEnvironment } from './server-fixture.ts';

interface Started {
  readonly port: number;
  readonly certificateSha256: string;
  readonly clients: readonly { readonly id: string; readonly pushToken: string }[];
}

const packsEach = 30;
const mebibytes = (kib: string | undefined): number => Number(kib) / 1024;

test('eight clients push packs of 4 MiB, four at a time each', async (context) => {
  const folder = await mkdtemp(join(tmpdir(), 'fallback-memory-'));
  const child = spawn(
    process.execPath,
    [...serverNodeFlags, join(import.meta.dirname, 'serve-process.ts'), folder, '8'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  try {
    const [line] = await once(createInterface(child.stdout), 'line');
    const { port, certificateSha256, clients } = JSON.parse(String(line)) as Started;
    const address = { host: '127.0.0.1', port, certificateSha256: Buffer.from(certificateSha256, 'hex') };
    const certificatePem = await fetchCertificate(address, clientEnvironment);
    const startedMs = performance.now();
    await Promise.all(
      clients.map(async ({ id, pushToken }) => {
        const repository = new HttpRepository({
          server: { host: '127.0.0.1', port, trust: { kind: 'pinned', certificatePem } },
          environment: clientEnvironment,
          repositoryId: parseRepositoryId(id),
          token: Buffer.from(pushToken, 'hex'),
        });
        const { leaseId } = await repository.acquireLease({ leaseId: newLeaseId(), epoch: parseEpoch(1), holder: id });
        let next = 1;
        const worker = async (): Promise<void> => {
          for (let number = next++; number <= packsEach; number = next++) {
            const { file, sha256 } = fakePack(repository.repositoryId, number, { bodyBytes: 4 * 1024 * 1024 });
            await repository.putPack(leaseId, number, [file], sha256);
          }
        };
        await Promise.all([worker(), worker(), worker(), worker()]);
        await Promise.all([1, 2, 3, 4].map((number) => repository.pack(number)));
        await repository.close();
      }),
    );
    const seconds = (performance.now() - startedMs) / 1000;
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    const peakMiB = mebibytes(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]);
    context.diagnostic(`server's peak: ${peakMiB.toFixed(0)} MiB; ${((8 * packsEach * 4) / seconds).toFixed(0)} MiB/s`);
    assert.ok(peakMiB < 190, `${peakMiB} MiB`);
    child.kill('SIGTERM');
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  } finally {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
});
