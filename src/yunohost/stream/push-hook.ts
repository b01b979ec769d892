// The hook of YunoHost's custom backup method: it hands the folder of collected files to a running push and waits for its word.
// They talk by small files in a folder of mode 0700. No socket or FIFO: bash cannot open the one, and an open of the other can
// block for ever when the push dies, with YunoHost's lock held. The hook looks whether the push lives instead.
import { chmod, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode, withFsErrors } from '../../fs/map-fs-error.ts';
import { isLeftover, temporaryName } from '../../fs/temporary-file.ts';
import type { HostPaths } from '../command/host-paths.ts';

/** The method's name. The file's does not end with the id of an app, or YunoHost would remove it with that app. */
export const pushMethod = 'fallback_push';
const hookFile = `05-${pushMethod}`;

const hookText = `#!/bin/bash
# Written by \`fallback push\` before each run that needs it: changes here are lost.
# YunoHost calls it with ACTION WORK_DIR NAME REPO SIZE DESCRIPTION. On "backup" it tells a running push where the collected
# files are, and waits until they were read. It holds no secret, and ends when the push is gone.
{ set +x; } 2>/dev/null
[ "$1" = "backup" ] || exit 1
folder="$FALLBACK_PUSH_FOLDER"
if [ -z "$folder" ] || [ ! -f "$folder/nonce" ]; then
    echo "fallback: no push is running. This method works from within: fallback push" >&2
    exit 1
fi
is_running() {
    local stat
    stat="$(cat "/proc/$FALLBACK_PUSH_PROCESS/stat" 2>/dev/null)" || return 1
    set -- \${stat##*) }
    [ "\${20}" = "$FALLBACK_PUSH_STARTED" ]
}
{ cat "$folder/nonce" && printf '%s\\n%s\\n' "$2" "$3"; } > "$folder/request.new" || exit 1
mv "$folder/request.new" "$folder/request" || exit 1
until [ -f "$folder/answer" ]; do
    is_running || { echo "fallback: the push has ended before it was done" >&2; exit 1; }
    sleep 0.2
done
answer="$(cat "$folder/answer")"
: > "$folder/heard" || exit 1
[ "$answer" = "done" ]
`;

/** Writes the hook, or writes it anew when it is not exactly ours. @returns its path. @throws IO, DISK_FULL. */
export async function installPushHook(paths: HostPaths): Promise<string> {
  return await withFsErrors('install the hook of the push method', async () => {
    const path = join(paths.methodHooks, hookFile);
    const now = await readFile(path, 'utf8').catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (now === hookText) return path;
    await mkdir(paths.methodHooks, { recursive: true, mode: 0o755 });
    // A leading dot: YunoHost does not take the unfinished file for a hook.
    const unfinished = join(paths.methodHooks, `.${hookFile}.new`);
    await writeFile(unfinished, hookText, { mode: 0o755 });
    await chmod(unfinished, 0o755);
    await rename(unfinished, path);
    return path;
  });
}

/** Removes the hook, when this program is removed. */
export async function removePushHook(paths: HostPaths): Promise<void> {
  await withFsErrors('remove the hook of the push method', () =>
    rm(join(paths.methodHooks, hookFile), { force: true }),
  );
}

/** What the hook told. */
export interface HookRequest {
  readonly workFolder: string;
  readonly name: string;
}

const pollMs = 100;

/** Field 22 of proc(5)'s stat: with the id it names this process for ever. */
async function ownStart(): Promise<string> {
  const text = await readFile('/proc/self/stat', 'latin1');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** One meeting of push and hook. */
export class HookMeeting {
  readonly #folder: string;
  readonly #nonce: string;
  readonly #started: string;
  #isAnswered = false;

  private constructor(folder: string, nonce: string, started: string) {
    this.#folder = folder;
    this.#nonce = nonce;
    this.#started = started;
  }

  /** @param nonce hexadecimal, new for each meeting: only a hook that ran can give it back. @throws IO. */
  static async prepare(paths: HostPaths, nonce: string): Promise<HookMeeting> {
    return await withFsErrors('prepare the meeting with YunoHost’s hook', async () => {
      // Its name says whose it is: what a dead process left is known without guessing.
      const folder = join(paths.runFolder, temporaryName(nonce.slice(0, 16)));
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFile(join(folder, 'nonce'), `${nonce}\n`, { mode: 0o600 });
      return new HookMeeting(folder, nonce, await ownStart());
    });
  }

  /** What the hook must find in its environment. */
  get environment(): Readonly<Record<string, string>> {
    return {
      FALLBACK_PUSH_FOLDER: this.#folder,
      FALLBACK_PUSH_PROCESS: String(process.pid),
      FALLBACK_PUSH_STARTED: this.#started,
    };
  }

  /** Waits for the hook. @throws YUNOHOST_FAILED when what came is not from our hook, and the signal's reason. */
  async request(signal?: AbortSignal): Promise<HookRequest> {
    for (;;) {
      signal?.throwIfAborted();
      const text = await readFile(join(this.#folder, 'request'), 'utf8').catch((error: unknown) => {
        if (systemErrorCode(error) === 'ENOENT') return undefined;
        throw error;
      });
      if (text !== undefined) return this.#check(text);
      await sleep(pollMs, signal);
    }
  }

  #check(text: string): HookRequest {
    const [nonce, workFolder = '', name = ''] = text.split('\n');
    if (nonce === this.#nonce && workFolder.startsWith('/')) return { workFolder, name };
    throw new FallbackError('YUNOHOST_FAILED', 'What called was not the hook of this push.');
  }

  /** Lets the hook end: YunoHost then cleans its folder. Only the first word counts. */
  async answer(word: 'done' | 'failed'): Promise<void> {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    await withFsErrors('answer YunoHost’s hook', async () => {
      await writeFile(join(this.#folder, 'answer.new'), word, { mode: 0o600 });
      await rename(join(this.#folder, 'answer.new'), join(this.#folder, 'answer'));
    });
  }

  /** Whether the hook was still there to hear the answer: until then YunoHost has kept its work folder. @throws IO. */
  async wasHeard(): Promise<boolean> {
    return await withFsErrors('meet YunoHost’s hook', async () => {
      try {
        await lstat(join(this.#folder, 'heard'));
        return true;
      } catch (error) {
        if (systemErrorCode(error) === 'ENOENT') return false;
        throw error;
      }
    });
  }

  /** Removes the meeting's folder, after the hook has ended. */
  async close(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Removes the folders of meetings whose process is gone. @throws IO. */
export async function removeOldMeetings(paths: HostPaths): Promise<void> {
  await withFsErrors('remove what an earlier push left', async () => {
    const names = await readdir(paths.runFolder).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) {
      if (isLeftover(name)) await rm(join(paths.runFolder, name), { recursive: true, force: true });
    }
  });
}
