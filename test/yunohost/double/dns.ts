// DNS: records a domain wants, a registrar’s zone as a state file, and DynDNS (section 7). No network.
import { readdirSync } from 'node:fs';
import { domainSettings } from './domains.ts';
import { YunohostError } from './errors.ts';
import type { Server } from './server.ts';
import { textAt } from './yaml.ts';

/** A record as the genuine JSON has it; a type, not an interface, so that it counts as a JSON value. */
export type DnsRecord = {
  readonly name: string;
  readonly type: string;
  readonly ttl: number;
  readonly content: string;
};

interface PublicAddress {
  readonly ipv4: string | null;
  readonly ipv6: string | null;
}

const ttlSeconds = 3600;
const specialTlds = ['local', 'localhost', 'onion', 'test'];

/** `.test` is special for the genuine program too; this file makes it ordinary, for domains of tests. */
const ordinaryTestFile = '/.double/test-tld-is-ordinary';

function isSpecial(server: Server, domain: string): boolean {
  const end = domain.split('.').at(-1) ?? '';
  return specialTlds.includes(end) && !(end === 'test' && server.has(ordinaryTestFile));
}

export function publicAddress(server: Server): PublicAddress {
  return JSON.parse(server.readOr('/.double/public-ip', '{"ipv4":null,"ipv6":null}')) as PublicAddress;
}

const zoneFile = (domain: string) => `/.double/dns/${domain}.json`;

/** What the world sees of a domain: written by a push or a DynDNS update, read by tests. */
export function publishedZone(server: Server, domain: string): DnsRecord[] {
  return JSON.parse(server.readOr(zoneFile(domain), '[]')) as DnsRecord[];
}

function wantedRecords(server: Server, domain: string): { basic: DnsRecord[]; mail: DnsRecord[]; extra: DnsRecord[] } {
  const { ipv4, ipv6 } = publicAddress(server);
  const record = (name: string, type: string, content: string): DnsRecord => ({ name, type, ttl: ttlSeconds, content });
  const address = (name: string) => [
    ...(ipv4 === null ? [] : [record(name, 'A', ipv4)]),
    ...(ipv6 === null ? [] : [record(name, 'AAAA', ipv6)]),
  ];
  return {
    basic: address('@'),
    mail: [
      record('@', 'MX', `10 ${domain}.`),
      record('@', 'TXT', '"v=spf1 a mx -all"'),
      record('_dmarc', 'TXT', '"v=DMARC1; p=none"'),
    ],
    extra: [...address('*'), record('@', 'CAA', '0 issue "letsencrypt.org"')],
  };
}

/** `domain dns suggest`: the zone as text. */
export function suggestZone(server: Server, domain: string): string {
  if (isSpecial(server, domain)) return specialText;
  domainSettings(server, domain);
  const { basic, mail, extra } = wantedRecords(server, domain);
  server.log(
    'INFO',
    'This command shows you the *recommended* configuration. It does not actually set up the DNS configuration for you. It is your responsability to configure your DNS zone in your registrar according to this recommendation.',
  );
  const lines = (records: readonly DnsRecord[]) =>
    records.map((record) => `\n${record.name} ${record.ttl} IN ${record.type} ${record.content}`).join('');
  return `; Basic ipv4/ipv6 records${lines(basic)}\n\n; Mail${lines(mail)}\n\n\n\n; Extra${lines(extra)}`;
}

const specialText =
  'This domain is based on a special-use top-level domain (TLD) such as .local or .test and is therefore not expected to have actual DNS records.';

export type PushResult = Record<string, never> | Record<'delete' | 'create' | 'update' | 'unchanged', DnsRecord[]>;

/** `domain dns push`: needs a registrar in the domain’s settings, which a nested restore has hidden (section 6 trap 4). */
export function pushZone(
  server: Server,
  domain: string,
  options: { dryRun: boolean; force: boolean; purge: boolean },
): PushResult {
  const settings = domainSettings(server, domain);
  const registrar = textAt(settings, 'registrar');
  if (isSpecial(server, domain)) throw new YunohostError(specialText);
  if (registrar === undefined || registrar === 'None') {
    throw new YunohostError(
      `The automatic DNS configuration feature is not applicable to domain ${domain}. You should manually configure your DNS records following the documentation at https://yunohost.org/dns_config.`,
    );
  }
  if (registrar === 'yunohost') {
    updateDynDns(server, { domain, force: options.force, dryRun: false });
    return {};
  }
  if (textAt(settings, 'auth_token') === undefined) {
    throw new YunohostError(`The registrar is not yet configured for domain ${domain}.`);
  }
  const full = (record: DnsRecord) => ({ ...record, name: record.name === '@' ? domain : `${record.name}.${domain}` });
  const { basic, mail, extra } = wantedRecords(server, domain);
  const wanted = options.purge ? [] : [...basic, ...mail, ...extra].map(full);
  const current = publishedZone(server, domain);
  const key = (record: DnsRecord) => `${record.type} ${record.name}`;
  const same = (a: DnsRecord) => (b: DnsRecord) => key(a) === key(b) && a.content === b.content;
  const changes = {
    delete: current.filter((record) => !wanted.some((other) => key(other) === key(record))),
    update: wanted.filter(
      (record) => current.some((other) => key(other) === key(record)) && !current.some(same(record)),
    ),
    create: wanted.filter((record) => !current.some((other) => key(other) === key(record))),
    unchanged: wanted.filter((record) => current.some(same(record))),
  };
  if (options.dryRun) return changes;
  if (changes.delete.length + changes.update.length + changes.create.length === 0) {
    server.log('SUCCESS', 'Records already up to date, nothing to do.');
    return {};
  }
  server.log('INFO', 'Pushing DNS records…');
  server.write(zoneFile(domain), JSON.stringify(wanted));
  server.log('SUCCESS', 'DNS records updated!');
  return {};
}

/** `dyndns update`: needs a key in /etc/yunohost/dyndns. */
export function updateDynDns(
  server: Server,
  options: { domain?: string | undefined; force: boolean; dryRun: boolean },
): void {
  const keys = server.has('/etc/yunohost/dyndns') ? readdirSync(server.path('/etc/yunohost/dyndns')) : [];
  const known = keys.flatMap((file) => /^K(.+)\.\+\d+\+\d+\.key$/.exec(file)?.[1] ?? []);
  if (options.domain === undefined) {
    if (known.length === 0) throw new YunohostError('No domain registered with DynDNS');
    for (const domain of known) updateDynDns(server, { ...options, domain });
    return;
  }
  if (!known.includes(options.domain)) throw new YunohostError('DNS key not found for the domain');
  const { ipv4, ipv6 } = publicAddress(server);
  if (ipv4 === null && ipv6 === null) return;
  const wanted = wantedRecords(server, options.domain).basic;
  const isSame = JSON.stringify(publishedZone(server, options.domain)) === JSON.stringify(wanted);
  if (isSame && !options.force && !options.dryRun) {
    server.log('INFO', 'No update needed.');
    return;
  }
  server.log('INFO', 'Update needed, going on...');
  if (options.dryRun) {
    server.log('INFO', "Warning: dry run, this is only the generated config, it won't be applied");
    return;
  }
  server.write(zoneFile(options.domain), JSON.stringify(wanted));
  server.log('SUCCESS', 'Updated your IP on DynDNS');
}
