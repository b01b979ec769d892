// What a server needs of itself before it can do its part: looked at by `fallback setup`.
import { access, constants } from 'node:fs/promises';
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { YunohostCommand } from '../command/yunohost-command.ts';
import { readCoverage } from '../coverage.ts';
import { estimateBytes } from '../night/disk-room.ts';
import { targetsOf } from '../night/night-target.ts';
import { showSize } from '../report/report.ts';
import type { Configuration } from './schema.ts';

/** One thing that was looked at. `open`: still to be done by the admin. */
export interface Check {
  readonly name: string;
  readonly state: 'good' | 'open' | 'bad';
  readonly text: string;
  /** Room that was found, in bytes. */
  readonly bytes?: number;
}

/** The first with the firewall commands that a takeover types. */
const versionMin = '12.1';

/** Compares versions such as `12.1.25` and `12.1.25~beta`, number by number. */
export function isOlder(version: string, than: string): boolean {
  const numbers = (text: string): number[] =>
    text
      .split(/[^0-9]+/)
      .filter((part) => part !== '')
      .map(Number);
  const [a, b] = [numbers(version), numbers(than)];
  for (let at = 0; at < b.length; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  return false;
}

async function checkYunohost(yunohost: YunohostCommand): Promise<Check> {
  const name = 'YunoHost';
  try {
    const version = (await yunohost.server.versions()).get('yunohost') ?? '';
    if (isOlder(version, versionMin))
      return { name, state: 'bad', text: `${version} is older than ${versionMin}: upgrade it first` };
    if (await yunohost.isInstalled()) return { name, state: 'good', text: version };
    return { name, state: 'open', text: `${version}, before its post-install: yunohost tools postinstall` };
  } catch (error) {
    if (!isFallbackError(error)) throw error;
    return { name, state: 'bad', text: error.message };
  }
}

async function checkMail({ report }: Configuration): Promise<Check> {
  const name = 'mail';
  if (report.mail === 'never')
    return { name, state: 'open', text: 'no mail is sent (report.mail = "never"): who will know when it fails?' };
  try {
    await access(report.sendmail, constants.X_OK);
    return { name, state: 'good', text: `${report.mail} to ${report.mailTo.join(', ')} by ${report.sendmail}` };
  } catch {
    return { name, state: 'bad', text: `${report.sendmail} is not there: no mail can be sent` };
  }
}

interface Room {
  readonly freeBytes: (path: string) => Promise<number>;
  /** On the fallback server, when it could be asked. */
  readonly serverBytes: number | undefined;
}

/** Room for the largest archive here, and for a first night there. */
async function checkRoom(yunohost: YunohostCommand, configuration: Configuration, room: Room): Promise<Check[]> {
  const coverage = await readCoverage(yunohost, configuration, []);
  const sizes: number[] = [];
  for (const target of targetsOf(coverage)) {
    if (target.kind !== 'files') sizes.push(await estimateBytes(yunohost.paths, target, undefined));
  }
  const largest = Math.max(0, ...sizes);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const free = await room.freeBytes(yunohost.paths.homes);
  const isStream = configuration.push.method === 'stream';
  const fits = isStream || free > largest + configuration.push.reserveMib * 1024 * 1024;
  const checks: Check[] = [
    {
      name: 'room here',
      state: fits ? 'good' : 'bad',
      text: `${showSize(free)} free; ${isStream ? 'no archive lies on the disk' : `the largest archive takes about ${showSize(largest)}`}${fits ? '' : ': set push.method = "stream"'}`,
    },
  ];
  if (room.serverBytes !== undefined) {
    const isEnough = room.serverBytes > total;
    const text = `about ${showSize(total)} before compression in ${sizes.length} archives; ${showSize(room.serverBytes)} are free on the fallback server`;
    checks.push({
      name: 'first push',
      state: isEnough ? 'good' : 'open',
      text: isEnough ? text : `${text}: it may not suffice`,
    });
  }
  return checks;
}

/** Looks at this machine as its role needs it. */
export async function checkMachine(
  yunohost: YunohostCommand,
  configuration: Configuration,
  freeBytes: (path: string) => Promise<number>,
  serverBytes: number | undefined,
): Promise<Check[]> {
  const checks = [await checkYunohost(yunohost), await checkMail(configuration)];
  if (checks[0]?.state !== 'good') return checks;
  if (configuration.server.role === 'main') {
    return [...checks, ...(await checkRoom(yunohost, configuration, { freeBytes, serverBytes }))];
  }
  const free = await freeBytes(configuration.store.folder).catch(() => undefined);
  const text =
    free === undefined
      ? `${configuration.store.folder} is not there yet: fallback serve makes it`
      : `${showSize(free)} free`;
  checks.push({ name: 'room for the store', state: free === undefined ? 'open' : 'good', text });
  if (configuration.server.ownDomain === '') {
    const what = 'server.own_domain is empty: after a deploy this server answers only under the main server’s domains';
    checks.push({ name: 'own domain', state: 'open', text: what });
  }
  return checks;
}
