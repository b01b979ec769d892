// The lock of all commands: a file that holds a process id. Existence and content, no flock (section 1).
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { interruptible, YunohostError } from './errors.ts';
import type { Server } from './server.ts';

export const lockFile = '/var/run/moulinette_yunohost.lock';

/** How often a waiting command looks; the genuine one looks every 500 ms. */
const pollMs = 100;

function holders(path: string): number[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map(Number);
}

function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return pid === process.pid ? process.ppid : 0;
  }
}

/** Whether a process above us, or we, hold the lock: hooks and scripts may call `yunohost` (section 1). */
function isSonOf(pids: readonly number[]): boolean {
  for (let pid = process.pid; pid > 0; pid = parentOf(pid)) if (pids.includes(pid)) return true;
  return false;
}

function isAlive(pid: number): boolean {
  if (existsSync('/proc/self')) return existsSync(`/proc/${pid}`);
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/**
 * Waits for the lock and takes it. A holder that is gone at the first look is replaced; one that dies while we wait is not
 * noticed, and we wait for ever, or until the limit.
 * @returns what gives it back.
 * @throws YunohostError after `timeoutSeconds`.
 */
export async function takeLock(server: Server, timeoutSeconds: number | undefined): Promise<() => void> {
  const path = server.path(lockFile);
  const startedMs = Date.now();
  let warnAfterMs = Number(process.env['YUNOHOST_DOUBLE_LOCK_WARNING_MS'] ?? 15_000);
  let warned = false;
  for (let isFirstLook = true; ; isFirstLook = false) {
    const pids = holders(path);
    if (isSonOf(pids)) return () => {};
    const first = pids[0];
    if (first === undefined || (isFirstLook && !isAlive(first))) break;
    const waitedMs = Date.now() - startedMs;
    if (timeoutSeconds !== undefined && waitedMs > timeoutSeconds * 1000) {
      throw new YunohostError(
        'There is already a YunoHost operation running. Please wait for it to finish before running another one.',
      );
    }
    if (waitedMs > warnAfterMs) {
      const text =
        'Another YunoHost command is running right now, we are waiting for it to finish before running this one';
      server.log('WARNING', warned ? 'Still waiting...' : text);
      warned = true;
      warnAfterMs *= 4;
    }
    await interruptible(() => setTimeout(pollMs));
  }
  server.makeFolder('/var/run');
  writeFileSync(path, String(process.pid));
  if (warned) server.log('WARNING', 'The other command just completed, now starting this command');
  return () => {
    if (existsSync(path)) rmSync(path);
    else server.log('WARNING', `Uhoh, somehow the lock ${lockFile} did not exist ...`);
  };
}
