// Hooks that others install: found by name and priority, run by bash as the genuine program runs them (section 5).
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Interrupted, interruptible } from './errors.ts';
import type { Server } from './server.ts';

export interface Hook {
  readonly name: string;
  readonly priority: string;
  readonly path: string;
}

/** What became of each hook that ran: its name, its real path, whether it ended well. */
export type HookResult = Hook & { readonly succeeded: boolean };

const folders = ['/usr/share/yunohost/hooks', '/etc/yunohost/hooks.d'];

/** Name and priority of a hook’s file: `05-conf_ldap.sh` is `conf_ldap` at `05`; without a number, 50. */
export function hookOf(path: string): Hook {
  const file = basename(path);
  const [, priority = '50', rest = file] = /^([^-]*)-(.*)$/.exec(file) ?? [];
  return { name: rest.slice(0, rest.length - extname(rest).length), priority, path };
}

/** All hooks of an action, the system’s first, then those added. */
export function listHooks(server: Server, action: string): Hook[] {
  return folders.flatMap((folder) => {
    const path = server.path(`${folder}/${action}`);
    if (!existsSync(path)) return [];
    return readdirSync(path)
      .filter((file) => !file.startsWith('.') && !file.endsWith('~') && !file.endsWith('.pyc'))
      .sort()
      .map((file) => hookOf(join(path, file)));
  });
}

/** The hooks to run for these names, also those whose name begins with `NAME_`; all when no name is given. */
export function chooseHooks(server: Server, action: string, names: readonly string[]): Hook[] {
  const all = listHooks(server, action);
  const wanted =
    names.length === 0
      ? all
      : all.filter((hook) => names.some((name) => hook.name === name || hook.name.startsWith(`${name}_`)));
  // The last file of one name and priority wins, as in the dictionary of the genuine program.
  const byPlace = new Map(wanted.map((hook) => [`${hook.priority} ${hook.name}`, hook]));
  return [...byPlace.values()].sort((a, b) => (a.priority < b.priority ? -1 : a.priority > b.priority ? 1 : 0));
}

export interface HookCall {
  readonly args?: readonly (string | number)[];
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Runs in place of bash for hooks that the double plays itself; undefined for all others. */
  readonly play?: (hook: Hook) => (() => void) | undefined;
}

/** `hook_callback`: runs the chosen hooks by priority; one that fails costs an ERROR line and the rest go on. */
export async function callHooks(
  server: Server,
  action: string,
  names: readonly string[],
  call: HookCall,
): Promise<HookResult[]> {
  const results: HookResult[] = [];
  for (const hook of chooseHooks(server, action, names)) {
    const play = call.play?.(hook);
    let succeeded = true;
    try {
      server.strike(`hook-${action}`, { path: hook.path });
      if (play !== undefined) play();
      else if ((await interruptible(() => runHook(server, hook.path, call))) !== 0) throw new Error('exit');
    } catch (error) {
      if (error instanceof Interrupted) throw error;
      server.log('ERROR', `Could not run script: ${server.shown(hook.path)}`);
      succeeded = false;
    }
    results.push({ ...hook, succeeded });
  }
  return results;
}

const quote = (text: string) =>
  text === '' ? "''" : /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;

async function eachLine(stream: Readable | null | undefined, use: (line: string) => void): Promise<void> {
  if (stream === null || stream === undefined) return;
  for await (const line of createInterface({ input: stream })) use(line);
}

/**
 * Runs one hook: `sh -c '/bin/bash -x "./05-X" ARGS 7>&1'`, in its own folder unless told otherwise. The caller’s environment
 * is inherited but for HOME and YNH_CONTEXT; stdout goes to the debug log, stderr to WARNING, descriptor 3 to INFO lines.
 */
export async function runHook(server: Server, path: string, call: HookCall): Promise<number> {
  const folder = call.folder ?? dirname(path);
  const script = call.folder === undefined ? `./${basename(path)}` : path;
  const returns = mkdtempSync(join(tmpdir(), 'stdreturn-'));
  writeFileSync(join(returns, 'stdreturn'), '');
  const environment: Record<string, string | undefined> = {
    ...process.env,
    ...call.environment,
    YNH_CWD: folder,
    YNH_INTERFACE: 'cli',
    YNH_STDRETURN: join(returns, 'stdreturn'),
    YNH_STDINFO: '3',
    BASH_XTRACEFD: '7',
  };
  delete environment['HOME'];
  delete environment['YNH_CONTEXT'];
  const args = (call.args ?? []).map((arg) => quote(String(arg))).join(' ');
  const child = spawn('sh', ['-c', `/bin/bash -x "${script}" ${args} 7>&1`], {
    cwd: folder,
    env: environment,
    stdio: ['inherit', 'pipe', 'pipe', 'pipe'],
  });
  const closed = new Promise<number>((resolve) => {
    child.on('error', () => resolve(127));
    child.on('close', (code) => resolve(code ?? 1));
  });
  const info = child.stdio[3];
  await Promise.all([
    eachLine(child.stdout, (line) => server.log('DEBUG', line)),
    eachLine(child.stderr, (line) => line.trim() !== '' && server.log('WARNING', line.trimEnd())),
    eachLine(info !== null && info !== undefined && 'read' in info ? info : undefined, (line) =>
      server.log('INFO', line.trimEnd()),
    ),
  ]);
  const code = await closed;
  rmSync(returns, { recursive: true, force: true });
  return code;
}

/** `hook_remove(app)`: deletes every added hook whose file name ends with the app’s id, wanted or not (section 5). */
export function removeHooksOf(server: Server, app: string): void {
  const base = server.path('/etc/yunohost/hooks.d');
  if (!existsSync(base)) return;
  for (const action of readdirSync(base)) {
    for (const file of readdirSync(join(base, action))) {
      if (file.endsWith(app)) rmSync(join(base, action, file));
    }
  }
}
