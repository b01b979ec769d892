// Domains: entries in LDAP, a settings file, a certificate and an nginx file each; the main one in current_host.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { YunohostError } from './errors.ts';
import { statOrNothing } from './files.ts';
import { callHooks } from './hooks.ts';
import { entriesUnder, entryOf, firstValue, putEntry, removeEntry } from './ldap.ts';
import { type RegenCategory, regenConf } from './regen-conf.ts';
import type { Server } from './server.ts';
import { writePortalConf } from './ssowat.ts';
import { formatYaml, parseYaml, type YamlMap } from './yaml.ts';

/** Sorts by the end of the name first, as the genuine list is sorted: parents before their subdomains. */
function sortKey(domain: string): string {
  const labels = domain.split('.');
  const end = labels.pop() ?? '';
  labels.push((labels.pop() ?? '') + end);
  return labels.reverse().join('\u0001');
}

/** All domains that LDAP knows. */
export function domainNames(server: Server): string[] {
  return entriesUnder(server, 'ou=domains')
    .map((entry) => firstValue(entry, 'virtualdomain'))
    .sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** The domains that lie under no other: those with a portal of their own. */
export function topDomains(domains: readonly string[]): string[] {
  return domains.filter((domain) => !domains.some((other) => domain.endsWith(`.${other}`)));
}

export function mainDomain(server: Server): string {
  return server.readOr('/etc/yunohost/current_host', '').trim();
}

export function assertDomain(server: Server, domain: string): void {
  if (!domainNames(server).includes(domain)) throw new YunohostError(`Domain '${domain}' unknown`);
}

/** The settings file of a domain; a file that a restore nested one folder deeper is not found (section 6 trap 4). */
export function domainSettings(server: Server, domain: string): YamlMap {
  assertDomain(server, domain);
  return parseYaml(server.readOr(`/etc/yunohost/domains/${domain}.yml`, '{}'));
}

export function writeDomainSettings(server: Server, domain: string, settings: YamlMap): void {
  server.write(`/etc/yunohost/domains/${domain}.yml`, formatYaml(settings));
}

/** Issues a self-signed certificate and points the domain at it; the earlier one stays in its history (section 6 trap 3). */
export function installSelfSigned(server: Server, domain: string, kind = 'selfsigned'): void {
  const stamp = server.stamp().replace('-', '.');
  const folder = `/etc/yunohost/certs/${domain}-history/${stamp}-${kind}`;
  const seed = createHash('sha256').update(`${domain} ${stamp} ${server.root}`).digest('base64');
  server.write(`${folder}/key.pem`, `-----BEGIN PRIVATE KEY-----\n${seed}\n-----END PRIVATE KEY-----\n`, 0o640);
  const body = Buffer.from(`CN=${domain} ${kind} ${stamp} ${seed}`).toString('base64');
  server.write(`${folder}/crt.pem`, `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`, 0o640);
  const link = server.path(`/etc/yunohost/certs/${domain}`);
  if (statOrNothing(link) !== undefined) rmSync(link, { recursive: true });
  symlinkSync(`${domain}-history/${stamp}-${kind}`, link);
}

/** What `domain cert status` says of one domain. */
export function certificateStatus(
  server: Server,
  domain: string,
): { CA_type: string; validity: number; style: string; summary: string } {
  assertDomain(server, domain);
  const file = `/etc/yunohost/certs/${domain}/crt.pem`;
  const text = server.has(file) ? Buffer.from(server.read(file).split('\n')[1] ?? '', 'base64').toString() : '';
  if (!text.startsWith(`CN=${domain} `)) return { CA_type: 'unknown', validity: 0, style: 'danger', summary: 'broken' };
  return text.includes(' letsencrypt ')
    ? { CA_type: 'letsencrypt', validity: 89, style: 'success', summary: 'letsencrypt' }
    : { CA_type: 'selfsigned', validity: 3649, style: 'warning', summary: 'selfsigned' };
}

/** YunoHost's own dynamic names; not what lies below them. */
const isDynDns = (domain: string): boolean => /^[^.]+\.(nohost\.me|noho\.st|ynh\.fr)$/.test(domain);

const dynDnsKeys = (server: Server): string[] =>
  server.has('/etc/yunohost/dyndns')
    ? readdirSync(server.path('/etc/yunohost/dyndns')).filter((file) => file.endsWith('.key'))
    : [];

const domainCategories: readonly RegenCategory[] = ['nginx', 'dnsmasq', 'postfix', 'mdns', 'dovecot', 'opendkim'];

/** `domain add`: certificate, LDAP, configuration, portal. */
export async function addDomain(
  server: Server,
  name: string,
  started: () => void = () => {},
  { ignoreDynDns = false } = {},
): Promise<void> {
  const domain = name.toLowerCase();
  if (domainNames(server).includes(domain)) throw new YunohostError('The domain already exists');
  const isSubscribed = !ignoreDynDns && isDynDns(domain);
  if (isSubscribed && dynDnsKeys(server).length > 0) {
    throw new YunohostError('You have already subscribed to a DynDNS domain');
  }
  started();
  // No network here: whoever subscribes without a terminal is asked for a password, and ends so.
  if (isSubscribed) throw new YunohostError("Not a tty, can't do interactive prompts");
  installSelfSigned(server, domain);
  server.log('SUCCESS', `Self-signed certificate now installed for the domain '${domain}'`);
  server.strike('domain-certificate');
  putEntry(
    server,
    entryOf(`virtualdomain=${domain},ou=domains`, { objectClass: ['mailDomain', 'top'], virtualdomain: domain }),
  );
  if (server.installed) {
    regenConf(server, domainCategories);
    writePortalConf(server);
  }
  await callHooks(server, 'post_domain_add', [], { args: [domain] });
  server.log('SUCCESS', 'Domain created');
}

/** `domain remove`: refused for the main domain and while apps live on it. */
export async function removeDomain(
  server: Server,
  domain: string,
  appsOnIt: readonly string[],
  started: () => void = () => {},
  { ignoreDynDns = false, force = false } = {},
): Promise<void> {
  if (!force) assertDomain(server, domain);
  if (domain === mainDomain(server)) {
    throw new YunohostError(`You cannot remove '${domain}' since it's the main domain, you first need to set another`);
  }
  if (appsOnIt.length > 0) {
    throw new YunohostError(`Those applications are still installed on your domain:\n${appsOnIt.join('\n')}`);
  }
  started();
  if (!domainNames(server).includes(domain)) {
    throw new YunohostError(`Unable to delete domain ${domain}: Failed to remove '${domain}'`);
  }
  removeEntry(server, `virtualdomain=${domain},ou=domains`);
  const keys = dynDnsKeys(server).filter((file) => file.startsWith(`K${domain}.+`));
  if (!ignoreDynDns && isDynDns(domain)) {
    // With the key in its folder the name is given back to its provider: whoever else uses it has lost it.
    if (keys.length === 0) server.log('WARNING', "Not a tty, can't do interactive prompts");
    else {
      server.write('/.double/given-back', `${server.readOr('/.double/given-back', '')}${domain}\n`);
      server.log('SUCCESS', 'DynDNS domain unsubscribed');
    }
  }
  for (const file of keys) rmSync(server.path(`/etc/yunohost/dyndns/${file}`), { force: true });
  // The certificate stays, with its history: `certs/DOMAIN` is a link to a folder, which Python's rmtree does not remove.
  rmSync(server.path(`/etc/yunohost/domains/${domain}.yml`), { force: true });
  regenConf(server, ['nginx', 'dnsmasq', 'postfix', 'mdns']);
  writePortalConf(server);
  await callHooks(server, 'post_domain_remove', [], { args: [domain] });
  server.log('SUCCESS', 'Domain deleted');
}

/** `domain main-domain -n D`. */
export function setMainDomain(server: Server, domain: string, started: () => void = () => {}): void {
  assertDomain(server, domain);
  started();
  server.write('/etc/yunohost/current_host', domain);
  server.write('/etc/hostname', `${domain}\n`);
  if (server.installed) regenConf(server);
  server.log('SUCCESS', 'The main domain has been changed');
}

/** Whether nginx would answer for a domain: known, with its configuration file. What a probe of a test asks. */
export function servesDomain(server: Server, domain: string): boolean {
  return existsSync(server.path(`/etc/nginx/conf.d/${domain}.conf`));
}
