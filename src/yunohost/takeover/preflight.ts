// Everything that can be known before a takeover, without changing anything: what `deploy --rehearse` shows every month, and
// what `deploy` looks at first.
import { readFile } from 'node:fs/promises';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { ListedSnapshot } from '../../sync/snapshots.ts';
import { systemArchive } from '../coverage.ts';
import { markedFolders, partOfFolder, unsavedDataOf } from '../left-out.ts';
import { factsFromAttributes, readRelease } from '../night/machine-facts.ts';
import { neededForRestore } from './placed-archive.ts';
import { findLeftData } from './restore-parts.ts';
import { type AppFacts, type ArchiveFacts, isBadArchive, isIn, proveStored } from './stored-archive.ts';
import { shortCall, type TakeoverHost, tell } from './takeover-host.ts';

/** `refused`: deploy does not begin unless it is forced. `impossible`: it cannot be done at all. */
export type FindingLevel = 'ok' | 'warning' | 'refused' | 'impossible';

/** One thing that was looked at. */
export interface Finding {
  readonly level: FindingLevel;
  readonly text: string;
  /** What to do about it. */
  readonly hint?: string;
}

/** An app to restore; JSON. */
export interface PlannedApp extends AppFacts {
  /** The archive of the snapshot that holds it. */
  readonly archive: string;
  /** When that archive was made, in milliseconds since 1970. */
  readonly savedAtMs: number;
}

/** What a takeover will do; JSON. */
export interface TakeoverPlan {
  readonly snapshot: number;
  readonly sha256: string;
  readonly receivedAtMs: number;
  readonly mainHost: string;
  /** The archive with the system; undefined when the snapshot has none that may be restored. */
  readonly system: ArchiveFacts | undefined;
  readonly systemParts: readonly string[];
  readonly apps: readonly PlannedApp[];
  /** Facts of the archives that hold apps, by archive name. */
  readonly archives: readonly ArchiveFacts[];
  /** Archives that are no YunoHost archives: extra paths. They are not restored by themselves. */
  readonly otherArchives: readonly string[];
  /** Archives of the snapshot that cannot be used, with the reason. */
  readonly lost: readonly { readonly name: string; readonly reason: string }[];
  /** No post-install was done on this machine: there is nothing of its own to put aside. */
  readonly isBare: boolean;
}

export interface Preflight {
  readonly findings: readonly Finding[];
  readonly plan: TakeoverPlan;
}

export interface PreflightRequest {
  readonly host: TakeoverHost;
  readonly session: RepositorySession;
  readonly snapshot: ListedSnapshot;
  /** Older snapshots are refused, in milliseconds. */
  readonly maxAgeMs: number;
}

/** Two days, five hours, ten minutes: the two largest units. */
export function showAge(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000));
  const units = [
    [Math.floor(minutes / 1440), 'day'],
    [Math.floor(minutes / 60) % 24, 'hour'],
    [minutes % 60, 'minute'],
  ] as const;
  const first = units.findIndex(([count]) => count > 0);
  if (first < 0) return 'less than a minute';
  const parts = units.slice(first, first + 2).filter(([count]) => count > 0);
  return parts.map(([count, unit]) => `${count} ${unit}${count === 1 ? '' : 's'}`).join(' ');
}

const gigabytes = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;

function judgeSnapshot({ host, snapshot, maxAgeMs }: PreflightRequest): Finding[] {
  const { head, record, sha256, summary } = snapshot;
  const ageMs = host.nowMs() - summary.receivedAtMs;
  const name = `Snapshot ${head.number} of ${record.hostName} (${Buffer.from(sha256).toString('hex').slice(0, 12)}), received ${new Date(summary.receivedAtMs).toISOString().slice(0, 16).replace('T', ' ')} UTC, ${showAge(ageMs)} ago`;
  const findings: Finding[] = [
    ageMs > maxAgeMs
      ? {
          level: 'refused',
          text: `${name}: older than ${showAge(maxAgeMs)}.`,
          hint: 'All that came later is missing. If that is what you want: --force, or a larger --max-age.',
        }
      : { level: 'ok', text: `${name}.` },
  ];
  if (head.complete && record.archives.every(({ status }) => status !== 'kept')) return findings;
  const kept = record.archives.filter(({ status }) => status === 'kept');
  const list = kept.map(({ name: one, savedAtMs }) => `${one} (${showAge(host.nowMs() - savedAtMs)} old)`).join(', ');
  findings.push({
    level: 'warning',
    text:
      list === ''
        ? 'The snapshot is partial: an app could not be saved that night.'
        : `Some archives are older than the snapshot: ${list}.`,
  });
  return findings;
}

/** Rebuilds every archive to nowhere. */
async function proveAll({ host, session, snapshot }: PreflightRequest) {
  const facts: { archive: SnapshotArchive; facts: ArchiveFacts }[] = [];
  const lost: { name: string; reason: string }[] = [];
  for (const archive of snapshot.record.archives) {
    tell(host, `verifying ${archive.name}`);
    try {
      facts.push({ archive, facts: await proveStored(session, archive, { signal: host.signal }) });
    } catch (error) {
      if (!isBadArchive(error)) throw error;
      lost.push({ name: archive.name, reason: error.message });
    }
  }
  return { facts, lost };
}

function judgeArchives(proven: Awaited<ReturnType<typeof proveAll>>, bytes: number): Finding[] {
  const findings: Finding[] = proven.lost.map(({ name, reason }) => ({
    level: name === systemArchive ? 'impossible' : 'refused',
    text: `The archive ${name} cannot be rebuilt: ${reason}`,
    hint: 'Take an older snapshot with --snapshot NUMBER (fallback snapshots lists them), or --force to go on without it.',
  }));
  const count = proven.facts.length;
  if (count > 0)
    findings.unshift({ level: 'ok', text: `${count} archives rebuilt and verified, ${gigabytes(bytes)}.` });
  return findings;
}

/** Which apps in which order: the admin's first, then as the snapshot has them. */
function planApps({ host, snapshot }: PreflightRequest, proven: Awaited<ReturnType<typeof proveAll>>): PlannedApp[] {
  const { apps, deploy, server } = host.configuration;
  const planned = new Map<string, PlannedApp>();
  for (const { archive, facts } of proven.facts) {
    for (const app of facts.apps) planned.set(app.id, { ...app, archive: archive.name, savedAtMs: archive.savedAtMs });
  }
  const order = snapshot.record.archives.map(({ name }) => name);
  const place = ({ id, archive }: PlannedApp): number => {
    const first = apps.first.indexOf(id);
    return first >= 0 ? first : apps.first.length + order.indexOf(archive);
  };
  return [...planned.values()]
    .filter(({ id }) => !deploy.exclude.includes(id) && id !== server.ownApp)
    .sort((a, b) => place(a) - place(b) || (a.id < b.id ? -1 : 1));
}

const numbersOf = (version: string): number[] => version.split(/[.~+-]/).map(Number);

function judgeVersion(here: string, there: string): Finding {
  const [a, b] = [numbersOf(here), numbersOf(there)];
  if (there === '') return { level: 'warning', text: 'The snapshot does not say which YunoHost made it.' };
  const same = `YunoHost here ${here}, on the main server ${there}`;
  if (a[0] !== b[0]) {
    const isNewer = (b[0] ?? 0) > (a[0] ?? 0);
    return {
      level: 'refused',
      text: `${same}: another major version, on another Debian.`,
      hint: isNewer ? 'Upgrade this server to the same major version.' : 'Restoring older archives may work: --force.',
    };
  }
  const isOlderHere =
    a.findIndex((one, index) => one !== b[index]) >= 0 &&
    a.some((one, index) => one < (b[index] ?? 0) && a.slice(0, index).every((x, at) => x === b[at]));
  return isOlderHere
    ? {
        level: 'warning',
        text: `${same}: the main server is newer.`,
        hint: 'Upgrade this server: yunohost tools upgrade system.',
      }
    : { level: 'ok', text: `${same}.` };
}

/** Facts that the main server's push may have noted about its machine. */
async function judgeMachine({ host, snapshot }: PreflightRequest, here: string): Promise<Finding[]> {
  const { attributes } = snapshot.record;
  const findings: Finding[] = [];
  const theirs = factsFromAttributes(attributes);
  const debian = readRelease(await readFile(host.yunohost.paths.osRelease, 'utf8').catch(() => ''));
  if (debian !== '' && theirs.debianRelease !== '' && debian !== theirs.debianRelease) {
    findings.push({
      level: 'refused',
      text: `Debian ${debian} here, Debian ${theirs.debianRelease} on the main server.`,
      hint: 'Bring both to the same release.',
    });
  }
  const { architecture } = theirs;
  if (architecture !== '' && architecture !== here) {
    findings.push({
      level: 'warning',
      text: `The main server is ${architecture}, this machine ${here}: apps with compiled programs may not start.`,
    });
  }
  return findings;
}

async function judgeSpace(host: TakeoverHost, archives: readonly ArchiveFacts[]): Promise<Finding> {
  const peak = Math.max(0, ...archives.map(neededForRestore));
  const contents = archives.reduce((sum, { contentBytes }) => sum + contentBytes, 0);
  // Homes, mail and apps mostly lie on the same disk as YunoHost's folder: all that is restored, and the largest archive beside it.
  const needed = peak + contents;
  const free = await host.freeBytes(host.yunohost.paths.backups);
  const text = `${gigabytes(free)} free in ${host.yunohost.paths.shown(host.yunohost.paths.backups)}; the takeover needs about ${gigabytes(needed)} (${gigabytes(contents)} of data, ${gigabytes(peak)} while the largest archive is restored)`;
  if (free >= needed) return { level: 'ok', text: `${text}.` };
  if (free < peak)
    return { level: 'impossible', text: `${text}.`, hint: 'Free some space: YunoHost refuses to restore otherwise.' };
  return {
    level: 'refused',
    text: `${text}.`,
    hint: 'Free some space. --force if data lies on another disk that has room.',
  };
}

/** Own folders that no backup holds, and that the main server brings as well: what is in them could not come back. */
async function judgeMarked({ yunohost }: TakeoverHost, plan: TakeoverPlan): Promise<Finding[]> {
  if (plan.isBare) return [];
  const marked = await markedFolders(yunohost.paths, plan.systemParts);
  const clashing = marked.filter((folder) => plan.system !== undefined && isIn(plan.system, folder));
  return clashing.map((folder) => ({
    level: 'refused',
    text: `Both servers have ${folder}, and a file .nobackup in this server’s own leaves it out of every backup: the main server’s would replace what is in it, and fallback close could not bring it back.`,
    hint: `rm ${folder}/.nobackup, and it is put aside too. Or leave the part out, in the configuration: deploy.exclude_system = ["${partOfFolder(folder)}"].`,
  }));
}

/** Data of apps that are not installed here: a restore would replace them. */
async function judgeLeftData(host: TakeoverHost, plan: TakeoverPlan): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const app of plan.apps) {
    const left = await findLeftData(host, app);
    if (left === undefined) continue;
    findings.push({
      level: 'warning',
      text: `${app.id} is not installed here, but ${left.folder} is not empty. What lies there is moved to ${left.aside} before the main server’s comes, and stays there.`,
      hint: 'Move it away or remove it yourself, if it is of no use there.',
    });
  }
  return findings;
}

async function judgeOwn(host: TakeoverHost, plan: TakeoverPlan): Promise<Finding[]> {
  if (plan.isBare)
    return [{ level: 'ok', text: 'This machine is not post-installed: there is nothing of its own to put aside.' }];
  const call = shortCall(host);
  const { domains } = await host.yunohost.domains.list(call);
  const installed = (await host.yunohost.apps.list(call)).map(({ id }) => id);
  const { ownDomain } = host.configuration.server;
  const findings: Finding[] = [];
  const both = plan.apps.filter(({ id }) => installed.includes(id)).map(({ id }) => id);
  const unsaved = await unsavedDataOf(host.yunohost.paths, both);
  const clashing = both.filter((id) => !unsaved.some(({ app }) => app === id));
  if (clashing.length > 0) {
    findings.push({
      level: 'warning',
      text: `Both servers have: ${clashing.join(', ')}. This server’s own are put aside, and come back with fallback close.`,
    });
  }
  for (const { app, folder } of unsaved) {
    findings.push({
      level: 'warning',
      text: `Both servers have ${app}, and no backup holds this server’s own data in ${folder} (its setting do_not_backup_data is 1): its own stays, and the main server’s is not restored.`,
      hint: `yunohost app setting ${app} do_not_backup_data -v 0, and its data are put aside too.`,
    });
  }
  const missing = ownDomain !== '' && !domains.includes(ownDomain);
  if (missing)
    findings.push({ level: 'warning', text: `server.own_domain is ${ownDomain}, which this server does not have.` });
  else findings.push({ level: 'ok', text: `This server’s own domains stay: ${domains.join(', ')}.` });
  return findings;
}

/**
 * Looks at everything and changes nothing.
 * @throws YUNOHOST_MISSING, and what stops the store from being read at all.
 */
export async function preflight(request: PreflightRequest): Promise<Preflight> {
  const { host, snapshot } = request;
  const findings = judgeSnapshot(request);
  const versions = await host.yunohost.server.versions(shortCall(host));
  const proven = await proveAll(request);
  const all = proven.facts.map(({ facts }) => facts);
  findings.push(
    ...judgeArchives(
      proven,
      all.reduce((sum, { tarBytes }) => sum + tarBytes, 0),
    ),
  );
  const system = all.find(({ systemParts }) => systemParts.length > 0);
  const systemParts = (system?.systemParts ?? []).filter(
    (part) => !host.configuration.deploy.excludeSystem.includes(part),
  );
  const plan: TakeoverPlan = {
    snapshot: snapshot.head.number,
    sha256: Buffer.from(snapshot.sha256).toString('hex'),
    receivedAtMs: snapshot.summary.receivedAtMs,
    mainHost: snapshot.record.hostName,
    system,
    systemParts,
    apps: planApps(request, proven),
    archives: all.filter(({ apps }) => apps.length > 0),
    otherArchives: all
      .filter(({ apps, systemParts: parts }) => apps.length === 0 && parts.length === 0)
      .map(({ name }) => name),
    lost: proven.lost,
    isBare: !(await host.yunohost.isInstalled()),
  };
  findings.push(
    judgeVersion(versions.get('yunohost') ?? '', system?.yunohostVersion || (all[0]?.yunohostVersion ?? '')),
  );
  findings.push(...(await judgeMachine(request, process.arch)));
  findings.push(await judgeSpace(host, all));
  findings.push(...judgeSystem(plan));
  findings.push(...(await judgeOwn(host, plan)));
  findings.push(...(await judgeMarked(host, plan)));
  findings.push(...(await judgeLeftData(host, plan)));
  return { findings, plan };
}

function judgeSystem(plan: TakeoverPlan): Finding[] {
  if (plan.system === undefined || plan.systemParts.length === 0) {
    const level = plan.isBare ? 'impossible' : 'refused';
    const hint = plan.isBare
      ? 'Run the post-install first: yunohost tools postinstall.'
      : 'Apps alone: --force. Users and mail then stay as they are here.';
    return [{ level, text: 'The snapshot has no system: no users, no mail, no domains.', hint }];
  }
  const findings: Finding[] = [];
  const isWithoutMain = plan.system.mainDomain === undefined || !plan.systemParts.includes('conf_ynh_settings');
  if (plan.isBare && isWithoutMain) {
    findings.push({
      level: 'impossible',
      text: 'The main domain is not in the snapshot, and this machine is not post-installed.',
      hint: 'Run the post-install first: yunohost tools postinstall.',
    });
  }
  const domains = [...new Set([plan.system.mainDomain, ...plan.apps.map(({ domain }) => domain)])].filter(
    (one) => one !== undefined,
  );
  const bare = plan.apps.filter(({ isDataLeftOut }) => isDataLeftOut).map(({ id }) => id);
  if (bare.length > 0) {
    findings.push({
      level: 'warning',
      text: `Without their data, which the main server leaves out of its backups (do_not_backup_data is 1): ${bare.join(', ')}.`,
      hint: 'For the nights to come, on the main server: yunohost app setting APP do_not_backup_data -v 0.',
    });
  }
  findings.push({
    level: 'ok',
    text: `It brings: ${plan.systemParts.join(', ')}; ${plan.apps.length} apps on ${domains.join(', ') || 'no domain'}.`,
  });
  return findings;
}

/** Whether a deploy may begin. */
export function mayDeploy(findings: readonly Finding[], isForced: boolean): boolean {
  return !findings.some(({ level }) => level === 'impossible' || (level === 'refused' && !isForced));
}
