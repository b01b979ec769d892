// Who owns what a root process makes in somebody else's folder.
import { closeSync, constants, fchownSync, lstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

const folderFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Gives a new file to the owner of the folder it lies in, when this process runs as root: what a root process (deploy) makes in a
 * store must stay open to the server's own user. Anyone else owns what he makes, and nothing happens.
 * @param descriptor of the file, opened by whoever made it: by its name the folder's owner could pass off any file of root's.
 */
export function giveToFolderOwner(descriptor: number, path: string): void {
  if (process.geteuid?.() !== 0) return;
  const folder = lstatSync(dirname(path));
  if (folder.uid !== 0 || folder.gid !== 0) fchownSync(descriptor, folder.uid, folder.gid);
}

/** As `giveToFolderOwner`, of a new folder. */
export function giveFolderToFolderOwner(path: string): void {
  if (process.geteuid?.() !== 0) return;
  const descriptor = openSync(path, folderFlags);
  try {
    giveToFolderOwner(descriptor, path);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes an empty file with mode 0600, of that owner. @throws EEXIST, also for a link. */
export function createPrivateFile(path: string): void {
  const descriptor = openSync(path, 'wx', 0o600);
  try {
    giveToFolderOwner(descriptor, path);
  } finally {
    closeSync(descriptor);
  }
}
