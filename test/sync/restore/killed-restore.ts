// A restore that is meant to be killed: it stops in the middle, says so, and waits.
import { join } from 'node:path';
import { newRestoreCounters, restoreArchiveToFile } from '../../../src/sync/restore/restore-archive.ts';
import { noise, withArchive } from '../read/archives.ts';

const folder = process.argv[2] ?? '';
await withArchive(noise(3_000_000, 1), async (session, archive) => {
  let calls = 0;
  const repository = new Proxy(session.repository, {
    get: (target, key) =>
      key === 'pack'
        ? async (number: number) => {
            if (++calls <= 3) return await target.pack(number);
            process.stdout.write('half-way\n');
            setInterval(() => undefined, 1000);
            return await new Promise<Uint8Array>(() => undefined);
          }
        : Reflect.get(target, key).bind(target),
  });
  await restoreArchiveToFile({
    session: { ...session, repository },
    archive,
    path: join(folder, 'app.tar'),
    counters: newRestoreCounters(),
    overwrite: false,
  });
});
