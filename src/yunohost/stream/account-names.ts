// Names of users and groups by number, as Python's tarfile asks for them: the files of the machine, then its name service (LDAP).
import { readFile } from 'node:fs/promises';
import type { HostPaths } from '../command/host-paths.ts';
import { runProgram } from '../command/run-program.ts';

/** Both give an empty text for a number without a name. */
export interface AccountNames {
  userName(id: number): Promise<string>;
  groupName(id: number): Promise<string>;
}

const askLimitMs = 10_000;

/** The first of several entries wins, as in the C library. */
function readEntries(text: string): Map<number, string> {
  const names = new Map<number, string>();
  for (const line of text.split('\n')) {
    const [name = '', , id = ''] = line.split(':');
    if (name !== '' && /^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), name);
  }
  return names;
}

async function readFileEntries(path: string): Promise<Map<number, string>> {
  return readEntries(await readFile(path, 'utf8').catch(() => ''));
}

class HostAccounts implements AccountNames {
  readonly #users: Map<number, string>;
  readonly #groups: Map<number, string>;
  readonly #ask: ((database: 'passwd' | 'group', id: number) => Promise<string>) | undefined;

  constructor(
    users: Map<number, string>,
    groups: Map<number, string>,
    ask: ((database: 'passwd' | 'group', id: number) => Promise<string>) | undefined,
  ) {
    this.#users = users;
    this.#groups = groups;
    this.#ask = ask;
  }

  async userName(id: number): Promise<string> {
    return await this.#name(this.#users, 'passwd', id);
  }

  async groupName(id: number): Promise<string> {
    return await this.#name(this.#groups, 'group', id);
  }

  async #name(known: Map<number, string>, database: 'passwd' | 'group', id: number): Promise<string> {
    const name = known.get(id) ?? (await this.#ask?.(database, id)) ?? '';
    known.set(id, name);
    return name;
  }
}

/** YunoHost's users live in LDAP: `getent` asks it, once for each number. Without it the archive keeps numbers alone. */
async function askNameService(database: 'passwd' | 'group', id: number): Promise<string> {
  try {
    const { stdout } = await runProgram({
      program: '/usr/bin/getent',
      args: [database, String(id)],
      environment: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
      timeLimitMs: askLimitMs,
    });
    return stdout.split(':')[0]?.trim() ?? '';
  } catch {
    return '';
  }
}

/** The names of this machine. */
export async function readAccountNames(paths: HostPaths): Promise<AccountNames> {
  const [users, groups] = await Promise.all([readFileEntries(paths.accounts), readFileEntries(paths.groups)]);
  return new HostAccounts(users, groups, paths.root === '/' ? askNameService : undefined);
}
