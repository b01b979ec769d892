// What the demos share: a folder and a server of their own, both gone when the play is over, however it ends.
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServeProcess } from './command.ts';

export const say = (text = ''): void => console.log(text);
export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 100e6 ? 2 : 1)} MB`;

/** Plays a demo in an empty folder. @param play tells of the server that it starts. */
export async function playDemo(
  play: (folder: string, onServer: (server: ServeProcess) => void) => Promise<void>,
): Promise<void> {
  const started = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'fallback-demo-'));
  let server: ServeProcess | undefined;
  const cleanUp = async (): Promise<void> => {
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void cleanUp().finally(() => process.exit(1)));
  }
  try {
    await play(folder, (running) => {
      server = running;
    });
  } finally {
    await cleanUp();
  }
  const seconds = (performance.now() - started) / 1000;
  say(`\nDone in ${seconds.toFixed(0)} s on ${availableParallelism()} cores. No process and no file is left behind.`);
}
