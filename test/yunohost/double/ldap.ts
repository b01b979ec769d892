// The directory: one LDIF text in ROOT/var/lib/ldap, as `slapcat` prints it, with users, groups, domains and permissions.
import type { Server } from './server.ts';

export interface LdapEntry {
  readonly dn: string;
  readonly attributes: Map<string, string[]>;
}

export const base = 'dc=yunohost,dc=org';
export const databaseFile = '/var/lib/ldap/data.ldif';
export const configFile = '/etc/ldap/slapd.d/config.ldif';

/** The text of `slapcat` for these entries. */
export function formatLdif(entries: readonly LdapEntry[]): string {
  const line = (key: string, value: string) =>
    /^[\x20-\x7e]*$/.test(value) && !/^[ :<]/.test(value)
      ? `${key}: ${value}`
      : `${key}:: ${Buffer.from(value).toString('base64')}`;
  return entries
    .map((entry) => {
      const rest = [...entry.attributes].flatMap(([key, values]) => values.map((value) => line(key, value)));
      return `${[line('dn', entry.dn), ...rest].join('\n')}\n\n`;
    })
    .join('');
}

/** Reads LDIF text; a block without a `dn` is an error, as for `slapadd`. */
export function parseLdif(text: string): LdapEntry[] {
  return text
    .split('\n\n')
    .filter((block) => block.trim() !== '')
    .map((block) => {
      const attributes = new Map<string, string[]>();
      for (const line of block.trim().split('\n')) {
        const [, key = '', coded = '', raw = ''] = /^([^:]+):(:?) ?(.*)$/.exec(line) ?? [];
        const value = coded === ':' ? Buffer.from(raw, 'base64').toString() : raw;
        attributes.set(key, [...(attributes.get(key) ?? []), value]);
      }
      const dn = attributes.get('dn')?.[0];
      if (dn === undefined) throw new Error('slapadd: no dn');
      attributes.delete('dn');
      return { dn, attributes };
    });
}

export function readLdap(server: Server): LdapEntry[] {
  return parseLdif(server.readOr(databaseFile, ''));
}

export function writeLdap(server: Server, entries: readonly LdapEntry[]): void {
  server.write(databaseFile, formatLdif(entries), 0o600);
}

/** Makes an entry of plain arguments. */
export function entryOf(dn: string, attributes: Record<string, string | readonly string[]>): LdapEntry {
  const values = Object.entries(attributes).map(([key, value]): [string, string[]] => [
    key,
    typeof value === 'string' ? [value] : [...value],
  ]);
  return { dn: `${dn},${base}`, attributes: new Map(values) };
}

/** Adds an entry, or replaces the one of the same name. */
export function putEntry(server: Server, entry: LdapEntry): void {
  const entries = readLdap(server);
  const at = entries.findIndex((known) => known.dn === entry.dn);
  if (at >= 0) entries[at] = entry;
  else entries.push(entry);
  writeLdap(server, entries);
}

export function removeEntry(server: Server, dn: string): void {
  writeLdap(
    server,
    readLdap(server).filter((entry) => entry.dn !== `${dn},${base}`),
  );
}

/** Entries directly under an organisational unit, e.g. `ou=users`. */
export function entriesUnder(server: Server, unit: string): LdapEntry[] {
  return readLdap(server).filter((entry) => entry.dn.endsWith(`,${unit},${base}`));
}

/** The first value of an attribute, or an empty text. */
export function firstValue(entry: LdapEntry, key: string): string {
  return entry.attributes.get(key)?.[0] ?? '';
}

/** The directory of a server that was just post-installed. */
export function emptyDirectory(): LdapEntry[] {
  const unit = (name: string) => entryOf(`ou=${name}`, { objectClass: ['organizationalUnit', 'top'], ou: name });
  const group = (name: string, gid: number, members: string[] = []) =>
    entryOf(`cn=${name},ou=groups`, {
      objectClass: ['posixGroup', 'top', 'groupOfNamesYnh'],
      cn: name,
      gidNumber: String(gid),
      memberUid: members,
    });
  return [
    {
      dn: base,
      attributes: new Map([
        ['objectClass', ['top', 'dcObject', 'organization']],
        ['o', ['yunohost.org']],
      ]),
    },
    ...['users', 'domains', 'apps', 'permission', 'groups', 'sudo'].map(unit),
    group('admins', 4001),
    group('all_users', 4002),
    group('visitors', 4003),
  ];
}
