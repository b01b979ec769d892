// The store's own suite, over HTTPS.

import { createRateLimiter } from '../../../src/sync/http/rate-limiter.ts';
import { clientEnvironment, ServerFixture } from '../../server/server-fixture.ts';
import { describeRepository } from '../../store/repository-conformance.ts';

async function overHttps(limited: boolean) {
  const fixture = await ServerFixture.start();
  const token = await fixture.takeoverToken();
  const limiters = limited
    ? {
        uploadLimiter: createRateLimiter(100_000, clientEnvironment),
        downloadLimiter: createRateLimiter(100_000, clientEnvironment),
      }
    : {};
  const repository = await fixture.open({ token, ...limiters });
  const { configuration, keyDocument } = fixture.tenant;
  return {
    repository,
    configuration,
    keyDocument,
    other: await fixture.open({ token, ...limiters }),
    advanceMs: (ms: number) => {
      fixture.temporary.environment.timeMs += ms;
    },
    dispose: () => fixture[Symbol.asyncDispose](),
  };
}

describeRepository('HTTPS', () => overHttps(false));
describeRepository('HTTPS with rate limits', () => overHttps(true));
