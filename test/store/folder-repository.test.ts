import { TemporaryStore } from '../support/temporary-store.ts';
import { describeRepository } from './repository-conformance.ts';

describeRepository('in a folder, opened twice', async () => {
  const temporary = await TemporaryStore.create();
  const second = await temporary.open();
  return {
    repository: await temporary.repository(),
    other: await second.repository(temporary.paired.id),
    configuration: temporary.paired.configuration,
    keyDocument: temporary.paired.keyDocument,
    advanceMs: (ms) => {
      temporary.environment.timeMs += ms;
    },
    async dispose() {
      await second.close();
      await temporary.dispose();
    },
  };
});
