// Removing folders that people can write in. Node's rm goes by paths: while it is at work, a person can put a link in a folder's
// place, and root removes elsewhere. GNU rm holds every folder open, and reaches what is in it through that.
import { FallbackError } from '../../errors/fallback-error.ts';
import { runSmall, type TakeoverHost } from './takeover-host.ts';

/** Removes a file or a folder with all that is in it, but for disks that are mounted below. @param path a real one. @throws IO. */
export async function removeTree(host: TakeoverHost, path: string): Promise<void> {
  const limitMs = host.configuration.yunohost.timeLimit;
  const failure = await runSmall(host, '/bin/rm', ['-rf', '--one-file-system', '--', path], limitMs);
  if (failure === undefined) return;
  const shown = host.yunohost.paths.shown(path);
  throw new FallbackError('IO', `${shown} could not be removed: ${failure}`, {
    hint: `Look at it (is a disk mounted there? umount it), then run the same command again.`,
  });
}
