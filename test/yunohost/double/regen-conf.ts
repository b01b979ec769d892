// `tools regen-conf`: writes the core’s configuration files from the server’s state, and leaves alone what a person changed.
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { domainNames, mainDomain } from './domains.ts';
import type { Server } from './server.ts';
import { setServiceState, stateOfService } from './service-states.ts';
import { readSetting } from './settings.ts';
import { formatYaml, mapAt, parseYaml, textAt, type YamlMap } from './yaml.ts';

export const regenCategories = [
  'ssh',
  'nginx',
  'postfix',
  'dovecot',
  'opendkim',
  'nftables',
  'mdns',
  'dnsmasq',
] as const;
export type RegenCategory = (typeof regenCategories)[number];

const hashFile = '/etc/yunohost/regenconf.yml';
const md5 = (text: string) => createHash('md5').update(text).digest('hex');

/** The files that a category wants, by path. */
function wantedFiles(server: Server, category: RegenCategory): Map<string, string> {
  const domains = domainNames(server);
  const each = (path: (domain: string) => string, text: (domain: string) => string) =>
    new Map(domains.map((domain): [string, string] => [path(domain), text(domain)]));
  switch (category) {
    case 'ssh':
      return new Map([['/etc/ssh/sshd_config', `Port ${readSetting(server, 'ssh_port')}\nPermitRootLogin no\n`]]);
    case 'nginx':
      return each(
        (domain) => `/etc/nginx/conf.d/${domain}.conf`,
        (domain) => `server {\n    server_name ${domain};\n    include conf.d/${domain}.d/*.conf;\n}\n`,
      );
    case 'postfix':
      return new Map([
        [
          '/etc/postfix/main.cf',
          `myhostname = ${mainDomain(server)}\nrelayhost = ${readSetting(server, 'smtp_relay_host')}\n`,
        ],
      ]);
    case 'dovecot':
      return new Map([['/etc/dovecot/dovecot.conf', `postmaster_address = postmaster@${mainDomain(server)}\n`]]);
    case 'opendkim':
      return new Map([
        ['/etc/opendkim/signing.table', domains.map((domain) => `*@${domain} mail._domainkey.${domain}\n`).join('')],
      ]);
    case 'nftables':
      return new Map([['/etc/nftables.d/yunohost-firewall.nft', server.readOr('/etc/yunohost/firewall.yml', '')]]);
    case 'mdns':
      return new Map([
        [
          '/etc/yunohost/mdns.yml',
          domains
            .filter((domain) => domain.endsWith('.local'))
            .map((domain) => `${domain}: all\n`)
            .join(''),
        ],
      ]);
    case 'dnsmasq':
      return each(
        (domain) => `/etc/dnsmasq.d/${domain}`,
        (domain) => `address=/${domain}/127.0.0.1\n`,
      );
  }
}

function changedByHand(server: Server, path: string, hashes: YamlMap): boolean {
  return server.has(path) && textAt(hashes, path) !== undefined && textAt(hashes, path) !== md5(server.read(path));
}

/** Files of /etc that differ from what regen-conf last wrote: what `conf_manually_modified_files` saves. */
export function manuallyModified(server: Server): string[] {
  const all = parseYaml(server.readOr(hashFile, '{}'));
  return Object.keys(all)
    .flatMap((category) => {
      const hashes = mapAt(all, category);
      return Object.keys(hashes).filter((path) => changedByHand(server, path, hashes));
    })
    .sort();
}

/** What the hooks do when files changed: nginx is reloaded, which fails while it does not run; mail is restarted. */
function driveAfter(server: Server, category: RegenCategory): void {
  if (category === 'postfix' || category === 'dovecot') setServiceState(server, category, 'running');
  if (category !== 'nginx' || stateOfService(server, 'nginx') === 'running') return;
  server.log('ERROR', 'Could not run script: /usr/share/yunohost/hooks/conf_regen/15-nginx');
}

/** Writes the files of these categories (all by default); a file changed by hand stays unless forced. */
export function regenConf(
  server: Server,
  categories: readonly RegenCategory[] = regenCategories,
  options: { readonly force?: boolean } = {},
): string[] {
  const all = parseYaml(server.readOr(hashFile, '{}'));
  const applied: string[] = [];
  for (const category of categories) {
    const hashes = mapAt(all, category);
    const wanted = wantedFiles(server, category);
    const before = applied.length;
    for (const [path, text] of wanted) {
      if (category === 'nginx') server.makeFolder(path.replace(/\.conf$/, '.d'));
      if (options.force !== true && changedByHand(server, path, hashes)) {
        server.log('WARNING', `The configuration file '${path}' has been manually modified and will not be updated`);
        continue;
      }
      if (server.readOr(path, '\0') !== text) {
        server.write(path, text);
        applied.push(path);
      }
      hashes[path] = md5(text);
    }
    for (const path of Object.keys(hashes)) {
      if (wanted.has(path)) continue;
      // The file of a lost domain goes, its folder stays (section 6 trap 2).
      if (!changedByHand(server, path, hashes)) rmSync(server.path(path), { force: true });
      delete hashes[path];
      applied.push(path);
    }
    if (applied.length > before) {
      server.log('SUCCESS', `Configuration updated for '${category}'`);
      driveAfter(server, category);
    }
    all[category] = hashes;
  }
  server.write(hashFile, formatYaml(all));
  return applied;
}
