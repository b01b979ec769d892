// A write that is cut short by the kernel goes on until all of it is written.
import type { FileHandle } from 'node:fs/promises';

/** Writes all of `bytes` at `start`. @throws the system's error. */
export async function writeWhole(file: FileHandle, bytes: Uint8Array, start: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; )
    at += (await file.write(bytes, at, bytes.byteLength - at, start + at)).bytesWritten;
}
