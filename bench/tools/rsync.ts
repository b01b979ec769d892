// rsync -z: one copy, no history, nothing hidden. The yardstick for bytes; both of its ends run on this machine.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { firstLine } from '../report/machine.ts';
import { folderBytes, measureStep, type Tool } from './tool.ts';

const countOf = (text: string, what: string): number =>
  Number(new RegExp(`Total bytes ${what}: ([\\d,.]+)`).exec(text)?.[1]?.replaceAll(/[,.]/g, '') ?? 0);

export function rsyncCopy(): Tool {
  return {
    name: 'rsync -z (no history)',
    version: firstLine('rsync', ['--version'])?.match(/version (\S+)/)?.[1],
    missing: 'rsync',
    async open(folder) {
      const copy = join(folder, 'copy');
      await mkdir(copy);
      return {
        push: async (archives) => {
          // Without --no-whole-file it would copy, since both ends are here.
          const args = ['-rtz', '--no-whole-file', '--stats', `${archives}/`, `${copy}/`];
          const { run, ...step } = await measureStep('rsync', args, { environment: { LC_ALL: 'C' } });
          return {
            ...step,
            wireSentBytes: countOf(run.stdout, 'sent'),
            wireReceivedBytes: countOf(run.stdout, 'received'),
          };
        },
        storedBytes: () => folderBytes(copy),
        stop: async () => undefined,
      };
    },
  };
}
