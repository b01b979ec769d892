// A process of its own that pushes into a store's folder until it is killed, and says after each acknowledgement what it
// was: started by the tests of crashes and races. Arguments: folder, repository id, epoch, holder, rounds (0: without end).
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { toHex } from '../../src/bytes/hex.ts';
import { isFallbackError } from '../../src/errors/fallback-error.ts';
import { parseEpoch, parseRepositoryId } from '../../src/format/ids.ts';
import { openStore } from '../../src/store/open-store.ts';
import { TestWriter } from '../support/writer.ts';

const [folder = '', id = '', epoch = '1', holder = 'child', rounds = '0'] = process.argv.slice(2);
const environment = {
  nowMs: () => Date.now(),
  randomBytes: (count: number) => new Uint8Array(randomBytes(count)),
};
const say = (line: string): void => {
  writeSync(1, `${line}\n`);
};

const store = await openStore({ folder, environment, options: { reserveFreeBytes: 0 } });
const repository = await store.repository(parseRepositoryId(id));
say('ready');
for (let round = 0; rounds === '0' || round < Number(rounds); round++) {
  try {
    const writer = await TestWriter.begin(repository, holder, parseEpoch(Number(epoch)));
    const numbers: number[] = [];
    await Promise.all(
      [0, 1, 2, 3].map(async () => {
        const pack = await writer.putNew({ bodyBytes: 20_000 });
        numbers.push(pack.number);
        say(`pack ${pack.number} ${toHex(pack.sha256)}`);
      }),
    );
    const summary = await writer.commit(numbers);
    say(`snapshot ${summary.number} ${toHex(summary.sha256)}`);
    await writer.end();
  } catch (error) {
    if (!isFallbackError(error, 'BUSY') && !isFallbackError(error, 'LEASE_LOST')) {
      if (!isFallbackError(error, 'SERVER_FULL')) throw error;
      say('full');
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
    round--;
  }
}
await store.close();
say('done');
