// `settings get` and `settings set`: the global settings, flat in /etc/yunohost/settings.yml.
import { YunohostError } from './errors.ts';
import type { Server } from './server.ts';
import { formatYaml, parseYaml, type Yaml } from './yaml.ts';

const file = '/etc/yunohost/settings.yml';

/** Full keys and their defaults; the file holds the last part of a key only. */
const defaults = {
  'security.ssh.ssh_port': 22,
  'security.ssh.ssh_password_authentication': true,
  'email.smtp.smtp_relay_enabled': false,
  'email.smtp.smtp_relay_host': '',
  'misc.backup.backup_compress_tar_archives': false,
  'misc.portal.ssowat_panel_overlay_enabled': true,
} as const satisfies Record<string, Yaml>;

const shortName = (key: string) => key.slice(key.lastIndexOf('.') + 1);

/** A setting by the last part of its key. */
export function readSetting(server: Server, name: string): Yaml {
  const stored = parseYaml(server.readOr(file, '{}'))[name];
  if (stored !== undefined) return stored;
  const row = Object.entries(defaults).find(([key]) => shortName(key) === name);
  return row?.[1] ?? null;
}

function fullKey(key: string): string {
  if (!(key in defaults)) throw new YunohostError(`Settings key '${key}' doesn't exist`);
  return key;
}

/** What `settings get KEY` prints: booleans as 0 and 1 (section 3). */
export function getSetting(server: Server, key: string): string | number {
  const value = readSetting(server, shortName(fullKey(key)));
  return typeof value === 'boolean' ? Number(value) : typeof value === 'number' ? value : String(value ?? '');
}

export function setSetting(server: Server, key: string, value: string): void {
  const name = shortName(fullKey(key));
  const isBoolean = typeof readSetting(server, name) === 'boolean';
  const all = parseYaml(server.readOr(file, '{}'));
  if (isBoolean) {
    if (!/^(0|1|true|false|yes|no|on|off)$/i.test(value)) {
      throw new YunohostError(`Invalid value for '${name}': Should be a boolean`);
    }
    all[name] = /^(1|true|yes|on)$/i.test(value);
  } else {
    all[name] = /^\d+$/.test(value) ? Number(value) : value;
  }
  server.write(file, formatYaml(all), 0o600);
}
