// Every call leaves two lines in ROOT/.double/calls.ndjson: its start and, unless it was killed, its end.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface Call {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly pid: number;
  readonly startedMs: number;
  /** Undefined while it runs, and for ever when it was killed. */
  readonly code?: number;
  readonly endedMs?: number;
}

interface Line extends Call {
  readonly event: 'start' | 'end';
}

const kept = /^(LC_|LANG|HOME$|PATH$|YNH_|FALLBACK|BACKUP_CORE_ONLY|BORG_)/;
const fileOf = (root: string) => join(root, '.double', 'calls.ndjson');

/** Notes the start of a call; the returned function notes its end. */
export function noteCall(root: string, argv: readonly string[]): (code: number) => void {
  const environment = Object.fromEntries(
    Object.entries(process.env).flatMap(([key, value]) =>
      kept.test(key) && value !== undefined ? [[key, value]] : [],
    ),
  );
  const call = { argv, environment, pid: process.pid, startedMs: Date.now() };
  const write = (line: Line) => {
    mkdirSync(dirname(fileOf(root)), { recursive: true });
    appendFileSync(fileOf(root), `${JSON.stringify(line)}\n`);
  };
  write({ event: 'start', ...call });
  return (code) => write({ event: 'end', ...call, code, endedMs: Date.now() });
}

/** All calls of a root, in the order of their starts. */
export function readCalls(root: string): Call[] {
  if (!existsSync(fileOf(root))) return [];
  const calls = new Map<string, Call>();
  for (const line of readFileSync(fileOf(root), 'utf8').split('\n')) {
    if (line === '') continue;
    const { event: _, ...call } = JSON.parse(line) as Line;
    calls.set(`${call.pid} ${call.startedMs}`, call);
  }
  return [...calls.values()];
}
