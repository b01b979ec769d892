// File systems that are mounted read-only: by an admin who rescues, or by the kernel after an error.
import { accessSync, constants } from 'node:fs';
import { systemErrorCode } from './map-fs-error.ts';

/** Whether nobody can write there, root included. False for what this user alone may not write, and for what is not there. */
export function isOnReadOnlyFileSystem(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return false;
  } catch (error) {
    return systemErrorCode(error) === 'EROFS';
  }
}
