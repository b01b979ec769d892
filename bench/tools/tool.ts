// What the bench asks of every backup tool, ours included: one repository, pushed to night by night.

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from '../measure/proc.ts';
import type { Relay } from '../measure/relay.ts';
import { type RunFigures, type RunOptions, runProcess, type ServerProcess } from '../measure/run-process.ts';

/** What one step cost. */
export interface StepFigures {
  readonly wallMs: number;
  /** Client and server together. */
  readonly cpuMs: number;
  readonly clientPeakBytes: number;
  readonly serverPeakBytes: number;
  /** As the relay counted them; undefined in runs that are timed. */
  readonly wireSentBytes?: number;
  readonly wireReceivedBytes?: number;
  /** As the tool itself tells: packs and snapshot. */
  readonly packBytes?: number;
}

/** A repository of one tool. */
export interface Repository {
  /** Pushes the archives that lie in a folder. */
  push(archives: string): Promise<StepFigures>;
  /** Brings the newest night back, below a folder. Undefined where the tool cannot. */
  readonly restore?: (into: string) => Promise<StepFigures>;
  /** The same from the store's own folder, without the server. */
  readonly restoreFromFolder?: (into: string) => Promise<StepFigures>;
  /** Reads and verifies everything, with the key. */
  readonly check?: () => Promise<StepFigures>;
  /** Reads and verifies everything on the server, without a key. */
  readonly scrub?: () => Promise<StepFigures>;
  /** Lists the snapshots: a command that only prints. */
  readonly list?: () => Promise<StepFigures>;
  /** What is stored for it on the other side, in bytes. */
  storedBytes(): Promise<number>;
  stop(): Promise<void>;
}

export interface Tool {
  /** For tables: name and how it reaches its store. */
  readonly name: string;
  /** Its version, or undefined with what is missing. */
  readonly version: string | undefined;
  readonly missing?: string;
  /** Makes a repository below `folder`. @param isCounted its traffic goes through a relay, which counts it. */
  open(folder: string, isCounted: boolean): Promise<Repository>;
}

/** Bytes of all files below a folder. */
export async function folderBytes(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** Waits until a server has no child left that still works for a client. */
async function untilIdle(server: ServerProcess): Promise<void> {
  for (let attempt = 0; attempt < 100 && processTree(server.id).length > 1; attempt++) await sleep(20);
}

/** Runs one command of a client, and adds what its server spent meanwhile. */
export async function measureStep(
  command: string,
  args: readonly string[],
  options: RunOptions,
  server?: ServerProcess,
  relay?: Relay,
): Promise<StepFigures & { readonly run: RunFigures }> {
  server?.mark();
  relay?.mark();
  const run = await runProcess(command, args, options);
  if (server !== undefined) await untilIdle(server);
  const served = server?.read() ?? { cpuMs: 0, peakBytes: 0 };
  return {
    wallMs: run.wallMs,
    cpuMs: run.cpuMs + served.cpuMs,
    clientPeakBytes: run.peakBytes,
    serverPeakBytes: served.peakBytes,
    ...(relay === undefined ? {} : { wireSentBytes: relay.sentBytes, wireReceivedBytes: relay.receivedBytes }),
    run,
  };
}
