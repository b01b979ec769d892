// Reading with limits.
import { FallbackError } from '../errors/fallback-error.ts';
import type { FileSystem } from './file-system.ts';
import { withFsErrors } from './map-fs-error.ts';

/** A whole file of at most `bytesMax`. @throws NOT_FOUND, LIMIT_EXCEEDED, IO. */
export async function readWholeFile(fs: FileSystem, path: string, bytesMax: number): Promise<Uint8Array> {
  return await withFsErrors('read a file', async () => {
    const file = await fs.openFile(path);
    try {
      const sizeBytes = await file.sizeBytes();
      if (sizeBytes > bytesMax) {
        throw new FallbackError(
          'LIMIT_EXCEEDED',
          `The file ${path} has ${sizeBytes} bytes; at most ${bytesMax} are read.`,
        );
      }
      const bytes = new Uint8Array(sizeBytes);
      return bytes.subarray(0, await file.read(bytes, 0));
    } finally {
      await file.close();
    }
  });
}

/** Bytes `start` to `end` (excluded) of a file: fewer when it is shorter. @throws NOT_FOUND, IO. */
export async function readFileSpan(fs: FileSystem, path: string, start: number, end: number): Promise<Uint8Array> {
  return await withFsErrors('read a file', async () => {
    const file = await fs.openFile(path);
    try {
      const bytes = new Uint8Array(end - start);
      return bytes.subarray(0, await file.read(bytes, start));
    } finally {
      await file.close();
    }
  });
}
