// A small file system in memory, to be filled up and mounted read-only. Mounting needs root.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { inTemporaryFolder } from './temporary-folder.ts';

const fillerName = 'filler';

export class SmallDisk {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Takes all that is left, to the last page. */
  fillUp(): void {
    const descriptor = openSync(join(this.folder, fillerName), 'a', 0o600);
    try {
      for (;;) writeSync(descriptor, new Uint8Array(4096));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
    } finally {
      closeSync(descriptor);
    }
  }

  /** Gives back what was taken. */
  async empty(): Promise<void> {
    await rm(join(this.folder, fillerName), { force: true });
  }

  /** Gives it another size. */
  resize(megabytes: number): void {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,size=${megabytes}m`, this.folder]);
    if (status !== 0) throw new Error(stderr.toString());
  }

  /** Nobody writes any more. @throws while a file is open for writing. */
  mountReadOnly(): void {
    const { status, stderr } = spawnSync('mount', ['-o', 'remount,ro', this.folder]);
    if (status !== 0) throw new Error(stderr.toString());
  }
}

/** Runs `work` on a disk of `megabytes`, or tells `skip` why not. */
export async function withSmallDisk(
  megabytes: number,
  skip: (why: string) => void,
  work: (disk: SmallDisk) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const options = `size=${megabytes}m,mode=0700`;
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status !== 0) {
      skip('mounting a tmpfs needs root');
      return;
    }
    try {
      await work(new SmallDisk(folder));
    } finally {
      spawnSync('umount', ['-l', folder]);
    }
  });
}
