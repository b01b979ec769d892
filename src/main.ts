// The command's entry: builds the real world and hands it down. Small, so that --version and help are there at once.
import { enableCompileCache } from 'node:module';
import { availableParallelism, homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { programVersion } from './cli/version.ts';

/** Compiled code is kept where no other user could plant any: the system's temporary folder, Node's default, is not such a place. */
function cacheFolder(): string | undefined {
  if (process.geteuid?.() === 0) return '/var/cache/fallback';
  const home = homedir();
  return home.startsWith('/') && home !== '/' ? join(home, '.cache', 'fallback') : undefined;
}

async function main(): Promise<void> {
  const argv = process.argv.slice(2);
  if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
    process.stdout.write(`fallback ${programVersion}\n`);
    return;
  }
  process.umask(0o077);
  const folder = cacheFolder();
  if (folder !== undefined && process.env['NODE_COMPILE_CACHE'] === undefined) enableCompileCache(folder);
  const [{ run }, { nodeFileSystem }, { randomBytes }, { setTimeout: sleep }] = await Promise.all([
    import('./cli/run.ts'),
    import('./fs/node-file-system.ts'),
    import('node:crypto'),
    import('node:timers/promises'),
  ]);
  process.exitCode = await run(
    {
      stdin: process.stdin,
      stdout: process.stdout,
      stderr: process.stderr,
      environment: process.env,
      signals: process,
      fs: nodeFileSystem,
      nowMs: () => Date.now(),
      monotonicMs: () => performance.now(),
      sleep: async (ms, signal) => {
        await sleep(ms, undefined, signal === undefined ? {} : { signal });
      },
      randomBytes: (count) => {
        const bytes = new Uint8Array(count);
        bytes.set(randomBytes(count));
        return bytes;
      },
      randomFraction: () => Math.random(),
      currentFolder: process.cwd(),
      homeFolder: homedir(),
      hostName: hostname(),
      userId: process.geteuid?.() ?? -1,
      processors: availableParallelism(),
      programVersion,
      exit: (code) => process.exit(code),
    },
    argv,
  );
  // Everything is done and printed: a connection or thread that was forgotten must not hold up a timer's job.
  setTimeout(() => process.exit(), 2_000).unref();
}

await main();
