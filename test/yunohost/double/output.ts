// What reaches the caller: log lines on stdout and stderr, and the result as JSON, plain or pretty text (section 1).
import { appendFileSync, mkdirSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { errnoOf } from './errors.ts';

/** Anything that JSON can say, plus dates. */
export type Value = string | number | boolean | null | Date | readonly Value[] | { readonly [key: string]: Value };

export type Level = 'DEBUG' | 'INFO' | 'SUCCESS' | 'WARNING' | 'ERROR';

/** Where log lines go. */
export type Log = (level: Level, message: string) => void;

/** Writes all of `text` to a file descriptor, waiting when a pipe is full; a reader that left is no error. */
export function writeAll(fd: number, text: string): void {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(fd, bytes));
    } catch (error) {
      if (errnoOf(error) === 'EPIPE') return;
      if (errnoOf(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

export interface LogOptions {
  readonly quiet: boolean;
  readonly debug: boolean;
  readonly startedMs: number;
  /** The CLI log file, which gets every line whatever the options say. */
  readonly file: string;
  /** `contract`: `ERROR text` as YUNOHOST.md shows it; `none`: the bare text, as a moulinette without colours prints it. */
  readonly prefix: 'contract' | 'none';
}

/** Makes the log of one command: INFO and SUCCESS on stdout, WARNING and ERROR on stderr, nothing at all when quiet. */
export function openLog(options: LogOptions): Log {
  mkdirSync(dirname(options.file), { recursive: true });
  return (level, message) => {
    const now = new Date();
    appendFileSync(options.file, `${now.toISOString()} ${level.padEnd(8)} yunohost - ${message}\n`);
    if (options.quiet || (level === 'DEBUG' && !options.debug)) return;
    const prefix = options.prefix === 'contract' ? `${level} ` : '';
    const debug = `${String(now.getTime() - options.startedMs).padEnd(4)} ${level} `;
    writeAll(level === 'WARNING' || level === 'ERROR' ? 2 : 1, `${options.debug ? debug : prefix}${message}\n`);
  };
}

function pythonString(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function pythonDate(date: Date): string {
  return date.toISOString().replace(/\.\d{3}Z$/, '+00:00');
}

/** `json.dumps` of Python: `", "` and `": "` between things, everything beyond ASCII escaped. */
export function pythonJson(value: Value): string {
  if (typeof value === 'string') return pythonString(value);
  if (value instanceof Date) return pythonString(pythonDate(value));
  if (value === null || typeof value !== 'object') return String(value);
  if (Array.isArray(value)) return `[${value.map((item: Value) => pythonJson(item)).join(', ')}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${pythonString(key)}: ${pythonJson(item)}`)
    .join(', ')}}`;
}

function scalar(value: string | number | boolean | null | Date): string {
  if (value === null) return 'None';
  if (value === true) return 'True';
  if (value === false) return 'False';
  return value instanceof Date ? pythonDate(value) : String(value);
}

const isScalar = (value: Value): value is string | number | boolean | null | Date =>
  value === null || typeof value !== 'object' || value instanceof Date;

/** `--output-as plain`: keys behind `#`, one value a line. */
export function plainText(value: Value, depth = 0): string {
  if (isScalar(value)) return `${scalar(value)}\n`;
  if (Array.isArray(value)) return value.map((item: Value) => plainText(item, depth + 1)).join('');
  const entries = Object.entries(value);
  const only = entries[0];
  if (depth === 0 && entries.length === 1 && only !== undefined) return plainText(only[1], depth + 1);
  return entries.map(([key, item]) => `${'#'.repeat(depth + 1)}${key}\n${plainText(item, depth + 1)}`).join('');
}

/** What a person sees without `--output-as`. */
export function prettyText(value: Value, depth = 0): string {
  const indent = '  '.repeat(depth);
  if (isScalar(value)) return `${scalar(value)}\n`;
  if (Array.isArray(value)) return value.map((item: Value) => `${indent}- ${prettyText(item)}`).join('');
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) =>
      isScalar(item) ? `${indent}${key}: ${scalar(item)}\n` : `${indent}${key}: \n${prettyText(item, depth + 1)}`,
    )
    .join('');
}
