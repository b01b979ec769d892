// DNS after a takeover: which records must change, and changing them where that is possible.
import { existsSync } from 'node:fs';
import { namesIn } from './own-state.ts';
import { longCall, runSmall, shortCall, type TakeoverHost, tell } from './takeover-host.ts';

export interface DnsRecord {
  readonly name: string;
  readonly type: 'A' | 'AAAA';
  readonly content: string;
  readonly ttlSeconds: number;
}

/** What is to change for one domain, and what was done. */
export interface DnsOutcome {
  readonly domain: string;
  readonly records: readonly DnsRecord[];
  /** `same`: DNS says so already. `shown`: it is for the admin to do. */
  readonly action: 'same' | 'shown' | 'dyndns' | 'pushed' | 'script' | 'failed' | 'none';
  readonly reason?: string;
  /** What DNS answers now for the domain itself; it may take the old record's TTL to change. */
  readonly seen: readonly string[];
}

/** The network's half. */
export interface DnsTools {
  /** Addresses of a name; none when it has none. */
  resolve(domain: string, type: 'A' | 'AAAA'): Promise<readonly string[]>;
  /** Show only, whatever the configuration says. */
  readonly isDryRun?: boolean;
}

const recordPattern = /^(\S+)\s+(\d+)\s+IN\s+(A|AAAA)\s+(\S+)\s*$/;
const ttlSecondsDefault = 3600;

/** A and AAAA records in the zone that YunoHost suggests, with the addresses of the configuration where it has them. */
export function readZone(
  domain: string,
  zone: string,
  own: { readonly ipv4: string; readonly ipv6: string },
): DnsRecord[] {
  const records: DnsRecord[] = [];
  const full = (name: string): string => (name === '@' ? domain : `${name}.${domain}`);
  for (const line of zone.split('\n')) {
    const [, name, ttl, type, content] = recordPattern.exec(line.trim()) ?? [];
    if (name === undefined || content === undefined || (type !== 'A' && type !== 'AAAA')) continue;
    const given = type === 'A' ? own.ipv4 : own.ipv6;
    records.push({ name: full(name), type, content: given === '' ? content : given, ttlSeconds: Number(ttl) });
  }
  for (const [type, content] of [
    ['A', own.ipv4],
    ['AAAA', own.ipv6],
  ] as const) {
    if (content === '' || records.some((record) => record.type === type)) continue;
    for (const name of [domain, `*.${domain}`]) records.push({ name, type, content, ttlSeconds: ttlSecondsDefault });
  }
  return records;
}

async function recordsOf(host: TakeoverHost, domain: string): Promise<DnsRecord[]> {
  const { ipv4, ipv6 } = host.configuration.dns;
  let zone = '';
  try {
    zone = await host.yunohost.domains.suggestDns(domain, shortCall(host));
  } catch (error) {
    host.signal?.throwIfAborted();
    if (ipv4 === '' && ipv6 === '') throw error;
  }
  return readZone(domain, zone, { ipv4, ipv6 });
}

async function isDyndns(host: TakeoverHost, domain: string): Promise<boolean> {
  return (await namesIn(host.yunohost.paths.dyndnsKeys)).some((name) => name.startsWith(`K${domain}.+`));
}

async function change(
  host: TakeoverHost,
  domain: string,
  records: readonly DnsRecord[],
  isDryRun: boolean,
): Promise<DnsOutcome['action']> {
  const { method, script } = host.configuration.dns;
  if (method === 'show') return 'shown';
  if (method === 'script') {
    if (!existsSync(script)) throw new Error(`the script ${script} is not there`);
    const address = (type: 'A' | 'AAAA'): string => records.find((record) => record.type === type)?.content ?? '';
    const words = [domain, address('A'), address('AAAA')];
    const failure =
      (await runSmall(host, script, ['dry-run', ...words])) ??
      (isDryRun ? undefined : await runSmall(host, script, ['set', ...words]));
    if (failure !== undefined) throw new Error(`the script failed: ${failure}`);
    return isDryRun ? 'shown' : 'script';
  }
  if (await isDyndns(host, domain)) {
    await host.yunohost.domains.updateDyndns({ domain, force: true, dryRun: isDryRun }, longCall(host));
    return isDryRun ? 'shown' : 'dyndns';
  }
  const planned = await host.yunohost.domains.pushDns(domain, { dryRun: true }, longCall(host));
  if (planned.errors.length > 0) throw new Error(planned.errors.join(' '));
  if (isDryRun) return 'shown';
  const done = await host.yunohost.domains.pushDns(domain, { force: true }, longCall(host));
  if (done.errors.length > 0) throw new Error(done.errors.join(' '));
  return 'pushed';
}

async function switchOne(host: TakeoverHost, tools: DnsTools, domain: string): Promise<DnsOutcome> {
  const records = await recordsOf(host, domain);
  const look = async (): Promise<string[]> => {
    const both = await Promise.all((['A', 'AAAA'] as const).map((type) => tools.resolve(domain, type).catch(() => [])));
    return both.flat();
  };
  if (records.length === 0) {
    return {
      domain,
      records,
      action: 'none',
      reason: 'YunoHost suggests no address: a domain for local use, or no public address was found.',
      seen: [],
    };
  }
  const wanted = records.filter(({ name }) => name === domain).map(({ content }) => content);
  const before = await look();
  if (wanted.length > 0 && wanted.length === before.length && wanted.every((address) => before.includes(address))) {
    return { domain, records, action: 'same', seen: before };
  }
  tell(host, `DNS of ${domain}`);
  try {
    const action = await change(host, domain, records, tools.isDryRun === true);
    return { domain, records, action, seen: await look() };
  } catch (error) {
    host.signal?.throwIfAborted();
    return {
      domain,
      records,
      action: 'failed',
      reason: error instanceof Error ? error.message : String(error),
      seen: before,
    };
  }
}

/** Shows or changes the records of all domains that came from the main server; a domain that fails stops no other. */
export async function switchDns(
  host: TakeoverHost,
  tools: DnsTools,
  mainDomain: string | undefined,
  ownDomains: readonly string[],
): Promise<DnsOutcome[]> {
  const { domains } = await host.yunohost.domains.list(shortCall(host));
  const outcomes: DnsOutcome[] = [];
  for (const domain of domains) {
    if (ownDomains.includes(domain) && domain !== mainDomain) continue;
    try {
      outcomes.push(await switchOne(host, tools, domain));
    } catch (error) {
      host.signal?.throwIfAborted();
      outcomes.push({
        domain,
        records: [],
        action: 'failed',
        reason: error instanceof Error ? error.message : String(error),
        seen: [],
      });
    }
  }
  return outcomes;
}
