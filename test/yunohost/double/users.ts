// Users: LDAP entries with a home and a mailbox each.
import { YunohostError } from './errors.ts';
import { ownTree, removeTree } from './files.ts';
import { callHooks } from './hooks.ts';
import {
  entriesUnder,
  entryOf,
  firstValue,
  type LdapEntry,
  putEntry,
  readLdap,
  removeEntry,
  writeLdap,
} from './ldap.ts';
import type { Server } from './server.ts';
import { syncPermissions, writePortalConf } from './ssowat.ts';

export interface NewUser {
  readonly name: string;
  readonly fullName: string;
  readonly domain: string;
  readonly admin?: boolean;
  /** Number of the user; drawn from the name and the root when left out, so that two servers differ (section 6 trap 5). */
  readonly userId?: number;
}

export function userEntries(server: Server): LdapEntry[] {
  return entriesUnder(server, 'ou=users').filter((entry) => !['root', 'nobody'].includes(firstValue(entry, 'uid')));
}

/** What `user list` prints. */
export function listUsers(server: Server): Record<string, Record<string, string>> {
  return Object.fromEntries(
    userEntries(server).map((entry) => [
      firstValue(entry, 'uid'),
      {
        username: firstValue(entry, 'uid'),
        fullname: firstValue(entry, 'cn'),
        mail: firstValue(entry, 'mail'),
        'mailbox-quota': firstValue(entry, 'mailuserquota'),
      },
    ]),
  );
}

function freeUserId(server: Server, wanted: string): number {
  const taken = new Set(userEntries(server).map((entry) => Number(firstValue(entry, 'uidNumber'))));
  let id = 10000;
  for (const unit of `${wanted} ${server.root}`) id = (id * 31 + unit.charCodeAt(0)) % 50000;
  id += 10000;
  while (taken.has(id)) id++;
  return id;
}

/** `user create`: LDAP entries of the user and its group, a home of its own. */
export async function createUser(server: Server, user: NewUser): Promise<void> {
  if (userEntries(server).some((entry) => firstValue(entry, 'uid') === user.name)) {
    throw new YunohostError(`The user '${user.name}' already exists`);
  }
  const id = user.userId ?? freeUserId(server, user.name);
  const [given = '', ...rest] = user.fullName.split(' ');
  putEntry(
    server,
    entryOf(`uid=${user.name},ou=users`, {
      objectClass: ['mailAccount', 'inetOrgPerson', 'posixAccount', 'userPermissionYnh'],
      givenName: given,
      sn: rest.join(' ') || ' ',
      cn: user.fullName,
      uid: user.name,
      mail: `${user.name}@${user.domain}`,
      maildrop: user.name,
      mailuserquota: '0',
      userPassword: `{CRYPT}$6$${Buffer.from(user.name + user.domain).toString('hex')}`,
      uidNumber: String(id),
      gidNumber: String(id),
      homeDirectory: `/home/${user.name}`,
      loginShell: '/bin/bash',
    }),
  );
  putEntry(
    server,
    entryOf(`cn=${user.name},ou=groups`, {
      objectClass: ['top', 'groupOfNamesYnh', 'posixGroup'],
      cn: user.name,
      gidNumber: String(id),
      memberUid: user.name,
    }),
  );
  joinGroup(server, 'all_users', user.name);
  if (user.admin === true) joinGroup(server, 'admins', user.name);
  server.makeFolder(`/home/${user.name}`, 0o750);
  ownTree(server, server.path(`/home/${user.name}`), { userId: id, groupId: id });
  syncPermissions(server);
  if (server.installed) writePortalConf(server);
  await callHooks(server, 'post_user_create', [], { args: [user.name, `${user.name}@${user.domain}`] });
  server.log('SUCCESS', 'User created');
}

function joinGroup(server: Server, group: string, user: string): void {
  const entries = readLdap(server);
  const entry = entries.find((known) => known.dn.startsWith(`cn=${group},ou=groups,`));
  if (entry === undefined) return;
  const members = entry.attributes.get('memberUid') ?? [];
  if (!members.includes(user)) entry.attributes.set('memberUid', [...members, user]);
  writeLdap(server, entries);
}

/** `user delete`: leaves the home unless purged. */
export function deleteUser(server: Server, name: string, purge: boolean): void {
  if (!(name in listUsers(server))) throw new YunohostError(`Unknown user: ${name}`);
  removeEntry(server, `uid=${name},ou=users`);
  removeEntry(server, `cn=${name},ou=groups`);
  const entries = readLdap(server);
  for (const entry of entries) {
    const members = entry.attributes.get('memberUid');
    if (members?.includes(name))
      entry.attributes.set(
        'memberUid',
        members.filter((member) => member !== name),
      );
  }
  writeLdap(server, entries);
  if (purge) for (const folder of [`/home/${name}`, `/var/mail/${name}`]) removeTree(server, server.path(folder));
  syncPermissions(server);
  writePortalConf(server);
  server.log('SUCCESS', 'User deleted');
}
