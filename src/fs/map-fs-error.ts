// From the kernel's error names to ours.
import { type ErrorCode, errorCodes } from '../errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  EFBIG: 'DISK_FULL',
  ENOENT: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  ELOOP: 'UNSAFE_PATH',
};

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file is too large for the file system',
  EIO: 'the disk reports an error',
  EROFS: 'the file system is read-only',
  EACCES: 'this user may not do that',
  EPERM: 'this user may not do that',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  ENOENT: 'there is nothing by that name',
  EEXIST: 'the name is taken',
  ELOOP: 'it is a symbolic link',
};

/** Where the code's own hint would send an admin to the wrong place. */
const hints: Readonly<Record<string, string>> = {
  EACCES: 'Run it as the user that the folder belongs to (often root), or choose another folder.',
  EPERM: 'Run it as the user that the folder belongs to (often root), or choose another folder.',
  EROFS: 'Choose a folder on another file system, or find out why this one is read-only (dmesg).',
};

/** What an admin can do about a system error; undefined where the code's hint is right. */
export const systemHint = (system: string): string | undefined => hints[system];

/** The kernel's name of an error (`ENOENT`), or undefined when it is none. */
export function systemErrorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/**
 * A FallbackError for what a file system call threw: DISK_FULL, NOT_FOUND, ALREADY_EXISTS, UNSAFE_PATH or IO. Whatever is
 * no system error (a FallbackError, a defect) comes back as it is.
 * @param what the action that failed, for people: `write the pack`.
 */
export function mapFsError(error: unknown, what: string): unknown {
  const system = systemErrorCode(error);
  if (isFallbackError(error) || system === undefined || !/^E[A-Z0-9]+$/.test(system)) return error;
  const code = codes[system] ?? 'IO';
  const reason = reasons[system] ?? system;
  return new FallbackError(code, `Could not ${what}: ${reason}.`, {
    cause: error,
    hint: hints[system] ?? errorCodes[code].hint,
    details: { system },
  });
}

/** Whether the disk itself could not read: a sector that cannot be read is as lost as one that reads wrong. */
export function isUnreadable(error: unknown): error is FallbackError {
  return isFallbackError(error, 'IO') && error.details['system'] === 'EIO';
}

/** Runs `work` and throws what mapFsError makes of its error. */
export async function withFsErrors<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw mapFsError(error, what);
  }
}
