// How a command of the double ends badly: as the genuine program does, by an error line, a traceback or a usage text.

/** A MoulinetteError or YunohostError: one ERROR line on stderr, exit 1 (section 1). */
export class YunohostError extends Error {}

/** Ctrl-C while a hook runs or the lock is awaited: Python cleans up, says so, and exits 1. */
export class Interrupted extends YunohostError {
  constructor() {
    super('Operation interrupted');
  }
}

/** Starts `work` so that, from before its first step, SIGINT ends it by an Interrupted error instead of ending the process without a word. */
export async function interruptible<Result>(work: () => Promise<Result>): Promise<Result> {
  let stop = (): void => {};
  const interrupted = new Promise<never>((_, reject) => {
    stop = () => reject(new Interrupted());
  });
  process.once('SIGINT', stop);
  try {
    return await Promise.race([work(), interrupted]);
  } finally {
    process.off('SIGINT', stop);
  }
}

/** An exception that nobody caught: a Python traceback on stderr, exit 1 (section 1). */
export class PythonCrash extends Error {
  readonly kind: string;

  /** @param kind the exception’s class in Python, e.g. `StopIteration`, `OSError`. */
  constructor(kind: string, message = '') {
    super(message);
    this.kind = kind;
  }

  /** The last line of the traceback, as Python writes it. */
  get line(): string {
    return this.message === '' ? this.kind : `${this.kind}: ${this.message}`;
  }
}

/** What argparse refuses: usage on stderr, exit 2 (section 1). */
export class UsageError extends Error {}

/** The errno name of a file system error, or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

const strerror: Record<string, [number, string]> = {
  ENOENT: [2, 'No such file or directory'],
  EEXIST: [17, 'File exists'],
  ENOTDIR: [20, 'Not a directory'],
  ENOSPC: [28, 'No space left on device'],
  EACCES: [13, 'Permission denied'],
};

/** The same failure in Python’s words, or the error itself when it is one of ours already. */
export function asPython(error: unknown): Error {
  const errno = errnoOf(error);
  if (errno !== undefined && error instanceof Error) {
    const [number, text] = strerror[errno] ?? [5, 'Input/output error'];
    const path = 'path' in error && typeof error.path === 'string' ? `: '${error.path}'` : '';
    return new PythonCrash(errno === 'ENOENT' ? 'FileNotFoundError' : 'OSError', `[Errno ${number}] ${text}${path}`);
  }
  return error instanceof Error ? error : new PythonCrash('Exception', String(error));
}
