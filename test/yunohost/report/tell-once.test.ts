// What keeps a timer's command from its work: one mail until it works again, and none for what passes.
import assert from 'node:assert/strict';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { ErrorCode } from '../../../src/errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import { nodeFileSystem } from '../../../src/fs/node-file-system.ts';
import { parseConfiguration } from '../../../src/yunohost/configuration/read-configuration.ts';
import { tellOnce } from '../../../src/yunohost/report/tell-once.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';

it('tells a failure once until it works again, what did not arrive once more, and nothing that passes', async () => {
  await inTemporaryFolder(async (folder) => {
    const mails = join(folder, 'mails');
    const sendmail = join(folder, 'sendmail');
    writeFileSync(mails, '');
    writeFileSync(sendmail, `#!/bin/sh\ncat >> ${mails}\n`, { mode: 0o755 });
    const controller = new AbortController();
    const undelivered: string[] = [];
    const teller = {
      subject: 'watch',
      delivery: {
        configuration: parseConfiguration(`[report]\nsendmail = "${sendmail}"\n`, 'test.toml'),
        stateFolder: join(folder, 'state'),
        fs: nodeFileSystem,
        environment: process.env,
        randomHex: () => 'ab',
      },
      hostName: 'fb.test',
      nowMs: () => 1,
      signal: controller.signal,
      onUndelivered: (failure: string) => void undelivered.push(failure),
    };
    const sent = (): number =>
      readFileSync(mails, 'utf8').match(/^Subject: .*FAILED: watch on fb\.test$/gm)?.length ?? 0;
    const fail = async (code: ErrorCode): Promise<void> => {
      const work = tellOnce(teller, () => Promise.reject(new FallbackError(code, 'The store does not open.')));
      await assert.rejects(work, (error) => isFallbackError(error, code));
    };
    await fail('STORE_LOCKED');
    assert.equal(sent(), 0);
    chmodSync(sendmail, 0o644);
    await fail('STORE_INVALID');
    assert.deepEqual([sent(), undelivered.length], [0, 1]);
    chmodSync(sendmail, 0o755);
    for (let look = 0; look < 3; look++) await fail('STORE_INVALID');
    await fail('IO');
    assert.equal(sent(), 1);
    assert.equal(await tellOnce(teller, async () => 'works'), 'works');
    await fail('STORE_INVALID');
    assert.equal(sent(), 2);
    await tellOnce(teller, async () => undefined);
    controller.abort();
    await fail('STORE_INVALID');
    assert.deepEqual([sent(), undelivered.length], [2, 1]);
  });
});
