// The real command as a process: what it prints, how it ends, and that no secret of the test shows anywhere.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

export const launcher: string = resolve(import.meta.dirname, '../../../bin/fallback');

/** Compiled code is kept out of the machine's own folders, and shared by all runs. */
export const compileCache: string = resolve(import.meta.dirname, '../../../node_modules/.cache/fallback-test');

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Everything that any process of this test file printed, and every command line it had. */
export class Witness {
  readonly #seen: string[] = [];

  see(text: string): void {
    this.#seen.push(text);
  }

  /** Fails when a secret was seen. */
  assertUnseen(secret: string, what: string): void {
    const place = this.#seen.find((text) => text.includes(secret));
    assert.equal(place, undefined, `${what} was seen in: ${place?.slice(0, 300)}`);
  }

  watch(child: ChildProcess): void {
    const look = (): void => {
      const path = `/proc/${child.pid}/cmdline`;
      if (existsSync(path)) this.see(readFileSync(path, 'latin1'));
    };
    const timer = setInterval(look, 100);
    child.once('exit', () => clearInterval(timer));
  }
}

function environmentOf(folder: string, more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    HOME: folder,
    TZ: 'UTC',
    FALLBACK_TEST_RUN: process.env['FALLBACK_TEST_RUN'],
    NODE_COMPILE_CACHE: compileCache,
    ...more,
  };
}

/** A folder for one test file, and commands that run in it. */
export class Sandbox {
  readonly folder: string;
  readonly witness = new Witness();
  readonly #servers: ChildProcess[] = [];

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Sandbox> {
    return new Sandbox(await mkdtemp(join(tmpdir(), 'fallback-cli-')));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  start(args: readonly string[], options: RunOptions = {}): ChildProcess {
    const child = spawn(launcher, args, { cwd: this.folder, env: environmentOf(this.folder, options.environment) });
    this.witness.watch(child);
    return child;
  }

  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    const child = this.start(args, options);
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
    const ended = await collect(child);
    this.witness.see(ended.stdout);
    this.witness.see(ended.stderr);
    return ended;
  }

  /** Runs a command that must succeed. @returns what it printed. */
  async ok(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const ended = await this.run(args, options);
    assert.equal(ended.code, 0, `fallback ${args.join(' ')}: ${ended.stderr}`);
    return ended.stdout;
  }

  /** Runs a command that must fail with an exit code and an error code. */
  async fails(args: readonly string[], exitCode: number, errorCode: string, options: RunOptions = {}): Promise<Ended> {
    const ended = await this.run(args, options);
    assert.equal(ended.code, exitCode, `fallback ${args.join(' ')}: ${ended.stdout}${ended.stderr}`);
    assert.match(ended.stderr, new RegExp(`code: ${errorCode}\\b|"code":"${errorCode}"`), ended.stderr);
    assert.doesNotMatch(ended.stderr, /\n\s+at /, 'a stack trace is no message');
    return ended;
  }

  /** Starts a server on a free port of the loopback address. */
  async serve(
    store: string,
    more: readonly string[] = [],
  ): Promise<{ readonly child: ChildProcess; readonly port: number }> {
    const listen = more.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
    const child = this.start(['serve', '--dir', store, '--public', '127.0.0.1', ...listen, ...more]);
    this.#servers.push(child);
    child.stderr?.on('data', (data: Buffer) => this.witness.see(data.toString()));
    let log = '';
    const port = await new Promise<number>((resolvePort, reject) => {
      child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${log}`)));
      child.stdout?.on('data', (data: Buffer) => {
        this.witness.see(data.toString());
        log += data.toString();
        const found = /"event":"started".*"port":(\d+)/.exec(log)?.[1];
        if (found !== undefined) resolvePort(Number(found));
      });
    });
    return { child, port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((child) => stop(child, 'SIGKILL')));
    await rm(this.folder, { recursive: true });
  }
}

/** Ends a process that this test started. */
export async function stop(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise<number | null>((done) => child.once('exit', done));
  child.kill(signal);
  return await ended;
}

/** Reads a process to its end. */
export async function collect(child: ChildProcess): Promise<Ended> {
  const parts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout?.on('data', (data: Buffer) => parts.stdout.push(data));
  child.stderr?.on('data', (data: Buffer) => parts.stderr.push(data));
  const code = await new Promise<number | null>((done) => child.once('close', done));
  return { code, stdout: Buffer.concat(parts.stdout).toString(), stderr: Buffer.concat(parts.stderr).toString() };
}

/** The twelve words of a recovery sheet, in order. */
export function wordsOf(sheet: string): string {
  const block = sheet.slice(sheet.indexOf('twelve words in this order'), sheet.indexOf('On a new machine'));
  const words = [...block.matchAll(/(\d+) ([a-z]+)/g)].map(([, number, word]) => [Number(number), word] as const);
  assert.equal(words.length, 12);
  return words
    .sort(([a], [b]) => a - b)
    .map(([, word]) => word)
    .join(' ');
}

/** The arguments of the command that a sheet gives for a new machine. */
export function connectArguments(sheet: string): string[] {
  const line = /^ +fallback (connect .*)$/m.exec(sheet)?.[1];
  assert.ok(line !== undefined, 'the sheet names the command');
  return line.split(' ');
}

/** Parsed JSON lines. */
export const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
