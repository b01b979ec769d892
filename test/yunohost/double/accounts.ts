// Names and numbers of users and groups: the server’s own passwd and group files, then LDAP.
import { entriesUnder, firstValue } from './ldap.ts';
import type { Server } from './server.ts';

export interface Accounts {
  userName(id: number): string | undefined;
  groupName(id: number): string | undefined;
  userId(name: string): number | undefined;
  groupId(name: string): number | undefined;
}

const passwdFile = '/etc/passwd';
const groupFile = '/etc/group';

const users = 'root:0 daemon:1 www-data:33 openldap:106 vmail:5000 mysql:110 postgres:111 opendkim:112';
const groups = 'root:0 daemon:1 mail:8 www-data:33 openldap:113 vmail:5000 mysql:114 postgres:115 opendkim:116';

function pairs(text: string): [string, number][] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name = '', , id = ''] = line.split(':');
      return [name, Number(id)];
    });
}

/** Lays down the accounts that every Debian with YunoHost has. */
export function writeBaseAccounts(server: Server): void {
  const line = (text: string, rest: string) =>
    text
      .split(' ')
      .map((pair) => pair.split(':'))
      .map(([name, id]) => `${name}:x:${id}:${rest}\n`)
      .join('');
  server.write(passwdFile, line(users, '0::/nonexistent:/usr/sbin/nologin'));
  server.write(groupFile, line(groups, ''));
}

/** Reads all accounts once; names that changed later need a new reading. */
export function readAccounts(server: Server): Accounts {
  const userPairs = pairs(server.readOr(passwdFile, ''));
  const groupPairs = pairs(server.readOr(groupFile, ''));
  for (const entry of entriesUnder(server, 'ou=users')) {
    userPairs.push([firstValue(entry, 'uid'), Number(firstValue(entry, 'uidNumber'))]);
  }
  for (const entry of entriesUnder(server, 'ou=groups')) {
    groupPairs.push([firstValue(entry, 'cn'), Number(firstValue(entry, 'gidNumber'))]);
  }
  const names = (list: [string, number][]) => new Map(list.map(([name, id]): [number, string] => [id, name]));
  const [userNames, groupNames] = [names(userPairs), names(groupPairs)];
  const [userIds, groupIds] = [new Map(userPairs), new Map(groupPairs)];
  return {
    userName: (id) => userNames.get(id),
    groupName: (id) => groupNames.get(id),
    userId: (name) => userIds.get(name),
    groupId: (name) => groupIds.get(name),
  };
}

/** Adds a system user and its group, as `useradd --system` does: the highest free number under 1000. */
export function addSystemUser(server: Server, name: string): void {
  const known = readAccounts(server);
  if (known.userId(name) !== undefined) return;
  let id = 999;
  while (known.userName(id) !== undefined || known.groupName(id) !== undefined) id--;
  server.write(
    passwdFile,
    `${server.readOr(passwdFile, '')}${name}:x:${id}:${id}::/var/www/${name}:/usr/sbin/nologin\n`,
  );
  server.write(groupFile, `${server.readOr(groupFile, '')}${name}:x:${id}:\n`);
}

export function removeSystemUser(server: Server, name: string): void {
  for (const file of [passwdFile, groupFile]) {
    const kept = server.readOr(file, '').split('\n');
    server.write(file, kept.filter((line) => !line.startsWith(`${name}:`)).join('\n'));
  }
}
