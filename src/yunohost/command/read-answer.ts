// What `yunohost` printed: log lines first, then the result as JSON on the last line, if the command has one.

/** Levels of YunoHost's log lines. */
export type LogLevel = 'DEBUG' | 'INFO' | 'SUCCESS' | 'WARNING' | 'ERROR';

/** One line of the log; `level` is undefined when the line does not say. */
export interface LogLine {
  readonly level: LogLevel | undefined;
  readonly text: string;
}

const levelPattern = /^(?:\d+\s+)?(DEBUG|INFO|SUCCESS|WARNING|ERROR)[:\s]\s*(.*)$/i;
/** How far from the end a result is looked for: a process that a command started may print after it. */
const linesSearchedMax = 20;

/** A line with its colours and level taken off. */
export function readLogLine(line: string): LogLine {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours are control characters
  const text = line.replace(/\x1b\[[0-9;]*m/g, '').trimEnd();
  const match = levelPattern.exec(text);
  if (match === null) return { level: undefined, text };
  return { level: match[1]?.toUpperCase() as LogLevel, text: match[2] ?? '' };
}

const nonEmptyLines = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

export interface Answer {
  /** The result; undefined when no JSON was found. */
  readonly json: unknown;
  /** Whether there was JSON at all: `null` is a result too. */
  readonly hasJson: boolean;
  readonly log: readonly LogLine[];
}

function parseJson(line: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(line) };
  } catch {
    return undefined;
  }
}

/** Takes stdout apart. A text, number or `null` counts as a result on the very last line only. */
export function readAnswer(stdout: string): Answer {
  const lines = nonEmptyLines(stdout);
  const first = Math.max(0, lines.length - linesSearchedMax);
  for (let at = lines.length - 1; at >= first; at--) {
    const line = (lines[at] ?? '').trim();
    if (at !== lines.length - 1 && !line.startsWith('{') && !line.startsWith('[')) continue;
    const parsed = parseJson(line);
    if (parsed === undefined) continue;
    const log = [...lines.slice(0, at), ...lines.slice(at + 1)].map(readLogLine);
    return { json: parsed.value, hasJson: true, log };
  }
  return { json: undefined, hasJson: false, log: lines.map(readLogLine) };
}

/** The last line of a Python traceback on stderr, `StopIteration` for one; undefined when there is none. */
export function findTraceback(stderr: string): string | undefined {
  const start = stderr.lastIndexOf('Traceback (most recent call last)');
  if (start < 0) return undefined;
  const lines = nonEmptyLines(stderr.slice(start)).slice(1);
  return (lines.find((line) => /^[A-Za-z_]/.test(line)) ?? lines.at(-1) ?? 'an unknown exception').trim();
}

/** The lines of stderr, for reports: the last `countMax`. */
export function readErrors(stderr: string, countMax: number): LogLine[] {
  return nonEmptyLines(stderr).slice(-countMax).map(readLogLine);
}
