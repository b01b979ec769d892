// Who owns what a root process makes in somebody else's folder.
import { chownSync, lstatSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Gives a new file or folder to the owner of the folder it lies in, when this process runs as root: what a root process
 * (deploy) makes in a store must stay open to the server's own user. Anyone else owns what he makes, and nothing happens.
 */
export function giveToFolderOwner(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const folder = lstatSync(dirname(path));
  if (folder.uid !== 0 || folder.gid !== 0) chownSync(path, folder.uid, folder.gid);
}
