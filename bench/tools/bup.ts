// bup, which encrypts nothing, into a folder. The other yardstick for bytes: it keeps history, in chunks of 8 KiB on average.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../measure/run-process.ts';
import { firstLine } from '../report/machine.ts';
import { folderBytes, measureStep, type Tool } from './tool.ts';

export function bupInFolder(): Tool {
  return {
    name: 'bup, folder (not encrypted)',
    version: firstLine('bup', ['version'])?.trim(),
    missing: 'bup',
    async open(folder) {
      const store = join(folder, 'store');
      await mkdir(store);
      const environment = { BUP_DIR: store };
      await runProcess('bup', ['init'], { environment });
      return {
        push: async (archives) => {
          const before = await folderBytes(store);
          const script = 'bup index -u "$1" && bup save -q -n night --strip "$1"';
          const { run, ...step } = await measureStep('sh', ['-c', script, 'sh', archives], { environment });
          // What it would send: its packs, and what it writes beside them.
          return { ...step, wireSentBytes: (await folderBytes(store)) - before, wireReceivedBytes: 0 };
        },
        restore: (into) => measureStep('bup', ['restore', '-q', '-C', into, '/night/latest/.'], { environment }),
        list: () => measureStep('bup', ['ls', 'night'], { environment }),
        storedBytes: () => folderBytes(store),
        stop: async () => undefined,
      };
    },
  };
}
