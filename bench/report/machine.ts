// The machine that the numbers come from: what matters for them, nothing that names it.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly system: string;
  /** Over a minute, before the bench began: above 0.5, times mean little. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

/** The first line that a program prints, or undefined when it is not installed. */
export function firstLine(command: string, args: readonly string[]): string | undefined {
  try {
    const out = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000 });
    return out.split('\n')[0]?.trim();
  } catch {
    return undefined;
  }
}

function systemName(): string {
  try {
    return /^PRETTY_NAME="(.*)"$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}

/** Describes this machine. */
export function describeMachine(): Machine {
  const { node, openssl, zstd, v8 } = process.versions;
  return {
    cores: availableParallelism(),
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    memoryGiB: Math.round((totalmem() / 2 ** 30) * 10) / 10,
    kernel: release().split('-')[0] ?? 'unknown',
    system: systemName(),
    loadBefore: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    versions: { node, openssl: openssl ?? 'unknown', zstd: zstd ?? 'unknown', v8 },
  };
}

/** One line for the top of the output. */
export function machineLine({ cores, processor, memoryGiB, kernel, system, loadBefore, versions }: Machine): string {
  const busy = loadBefore > 0.5 ? `; the machine was busy with other work (load ${loadBefore}): times mean little` : '';
  return `${cores} cores (${processor}), ${memoryGiB} GiB, ${system}, Linux ${kernel}, Node.js ${versions['node']}${busy}`;
}
