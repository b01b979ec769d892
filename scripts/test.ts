// Runs the tests: `npm test`, `npm test -- test/format` (paths or parts of paths), `npm test -- --long` (the long ones too).
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

// A guard against a file that hangs, not a measure: a busy machine may be many times slower than a quiet one.
const fileTimeoutMs = 4 * 60_000;
const longFileTimeoutMs = 60 * 60_000;
const mark = 'FALLBACK_TEST_RUN';

const root = resolve(import.meta.dirname, '..');
const wanted = process.argv.slice(2).filter((argument) => argument !== '--long');
const withLong = process.argv.includes('--long');
const runId = randomUUID();

function findTestFiles(): string[] {
  const isLong = (path: string): boolean => path.endsWith('.long.test.ts');
  const matches = (path: string): boolean =>
    wanted.length === 0 || wanted.some((part) => path.includes(relative(root, resolve(root, part)) || part));
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .map((path) => join('test', path))
    .filter(
      (path) => path.endsWith('.test.ts') && matches(path) && (withLong || wanted.includes(path) || !isLong(path)),
    )
    .sort();
}

interface LeftProcess {
  readonly id: number;
  readonly command: string;
}

/** The processes that this run started, directly or not: all carry its mark in their environment. */
function findProcesses(): LeftProcess[] {
  const found: LeftProcess[] = [];
  for (const entry of readdirSync('/proc')) {
    const id = Number(entry);
    if (!Number.isInteger(id) || id === process.pid) continue;
    try {
      if (!readFileSync(`/proc/${id}/environ`, 'latin1').includes(`${mark}=${runId}\0`)) continue;
      found.push({ id, command: readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ').trim() });
    } catch {
      // It ended meanwhile, or belongs to somebody else.
    }
  }
  return found;
}

function endProcesses(processes: readonly LeftProcess[], why: string): void {
  for (const { id, command } of processes) {
    console.error(`${why}: ${id} ${command.slice(0, 200)}`);
    try {
      process.kill(id, 'SIGKILL');
    } catch {
      // It ended meanwhile.
    }
  }
}

/** The runner's own time limit is each test's; this one is the whole file's, also when a handle keeps it alive. */
function endFileAfter(path: string, timeoutMs: number): NodeJS.Timeout {
  return setTimeout(() => {
    const processes = findProcesses().filter(({ command }) => command.includes(path));
    endProcesses(processes, `A test file ran for more than ${timeoutMs / 1000} s; it was ended`);
  }, timeoutMs);
}

const files = findTestFiles();
if (files.length === 0) {
  console.error(`No test file matches: ${wanted.join(' ')}`);
  process.exit(2);
}

process.env[mark] = runId;
// Every process of the tests, and there are thousands, finds its code compiled: stripping types alone loads 80 ms of WebAssembly.
process.env['NODE_COMPILE_CACHE'] ??= join(root, 'node_modules', '.cache', 'fallback-test');
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());

let succeeded = false;
const timeoutMs = withLong ? longFileTimeoutMs : fileTimeoutMs;
const events = run({
  files: files.map((path) => join(root, path)),
  concurrency: Math.max(2, availableParallelism()),
  timeout: timeoutMs,
  signal: stop.signal,
  cwd: root,
});
events.on('test:summary', (summary) => {
  if (summary.file === undefined) succeeded = summary.success;
});
const timers = new Map<string, NodeJS.Timeout>();
events.on('test:dequeue', ({ name }) => {
  if (files.includes(relative(root, name))) timers.set(name, endFileAfter(name, timeoutMs));
});
events.on('test:complete', ({ name }) => clearTimeout(timers.get(name)));
const report = events.compose(new spec());
report.on('end', () => {
  const left = findProcesses();
  endProcesses(left, 'A test left a process behind; it was ended');
  process.exitCode = succeeded && left.length === 0 && !stop.signal.aborted ? 0 : 1;
});
report.pipe(process.stdout);
