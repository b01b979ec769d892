// Everything a command takes from outside. main.ts builds the one real world; nothing below reads a clock or an environment itself.
import type { FileSystem } from '../fs/file-system.ts';

export interface World {
  readonly stdin: NodeJS.ReadStream;
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signals: SignalSource;
  readonly fs: FileSystem;
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Milliseconds that never jump. */
  monotonicMs(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  randomBytes(count: number): Uint8Array;
  /** From 0 to below 1, for the jitter of retries. */
  randomFraction(): number;
  readonly currentFolder: string;
  readonly homeFolder: string;
  readonly hostName: string;
  /** The effective user id; 0 is root. */
  readonly userId: number;
  readonly processors: number;
  readonly programVersion: string;
  /** Ends the process at once: only for a second Ctrl-C. */
  exit(code: number): void;
}

/** What `process` offers to those who listen for signals. */
export interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP', listener: () => void): unknown;
  off(signal: 'SIGTERM' | 'SIGINT' | 'SIGHUP', listener: () => void): unknown;
}
