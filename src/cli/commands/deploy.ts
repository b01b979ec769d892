// fallback deploy: the fallback server takes over.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { FolderRepository } from '../../store/folder-repository.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { DeployReport, DeployRequest } from '../../yunohost/takeover/deploy.ts';
import type { DnsOutcome } from '../../yunohost/takeover/dns.ts';
import type { Journal } from '../../yunohost/takeover/journal.ts';
import type { Finding, Preflight } from '../../yunohost/takeover/preflight.ts';
import { askLine, canAsk } from '../ask.ts';
import { type CommandBody, flagOption, type Invocation, textOption, valueOption } from '../command-spec.ts';
import { asFallbackError } from '../error-report.ts';
import { noteMainDomain } from '../main-domain.ts';
import {
  folderTakeoverOptions,
  type Machine,
  openJournal,
  openMachine,
  refuseWhileRecovering,
  sendReport,
  withFolderSession,
  withLock,
} from '../open-takeover.ts';
import { parseDurationMs } from '../parse-values.ts';

const rehearseOption = flagOption(
  '--rehearse',
  'look at everything, rebuild every archive to nowhere, and change nothing',
);
const snapshotOption = textOption('--snapshot <number|date>', 'which snapshot of the main server', {
  absent: 'its newest',
  completion: 'none',
});
const maxAgeOption = valueOption('--max-age <time>', 'refuse a snapshot that is older: 36h, 3d', parseDurationMs, {
  absent: 'deploy.max_age of the configuration, 72h',
  completion: 'none',
});
const forceOption = flagOption(
  '--force',
  'begin although something was refused: an old snapshot, another version, little space',
);
const autoOption = flagOption('--auto', 'never ask: for timers. The key must be armed or in a file');
const yesOption = flagOption('-y, --yes', 'do not ask whether to begin');

const marks: Readonly<Record<Finding['level'], string>> = {
  ok: 'ok      ',
  warning: 'warning ',
  refused: 'REFUSED ',
  impossible: 'IMPOSSIBLE ',
};

export const layFindings = (findings: readonly Finding[]): string[] =>
  findings.flatMap(({ level, text, hint }) => [
    `${marks[level]}${text}`,
    ...(hint === undefined ? [] : [`        ${hint}`]),
  ]);

async function look(machine: Machine, session: RepositorySession<FolderRepository>): Promise<Preflight> {
  const { invocation, configuration, host } = machine;
  const [{ preflight }, { chooseMainSnapshot }] = await Promise.all([
    import('../../yunohost/takeover/preflight.ts'),
    import('../../yunohost/takeover/choose-snapshot.ts'),
  ]);
  const snapshot = await chooseMainSnapshot(session, invocation.get(snapshotOption));
  const maxAgeMs = invocation.get(maxAgeOption) ?? configuration.deploy.maxAge;
  const found = await preflight({ host, session, snapshot, maxAgeMs });
  await noteMainDomain(machine, found.plan.system?.mainDomain ?? '');
  return found;
}

/** The rehearsal: shown, and reported where push reports go. */
async function rehearse(machine: Machine): Promise<number | undefined> {
  const { invocation } = machine;
  const { world, output } = invocation;
  const isAuto = invocation.get(autoOption) === true;
  let findings: readonly Finding[];
  try {
    ({ findings } = await withFolderSession(machine, (session) => look(machine, session), isAuto));
  } catch (thrown) {
    if (!invocation.signal.aborted) {
      const { reportOfError } = await import('../../yunohost/report/report.ts');
      await sendReport(
        machine,
        reportOfError('rehearsal', asFallbackError(thrown), { hostName: world.hostName, timeMs: world.nowMs() }),
      );
    }
    throw thrown;
  }
  const isBad = findings.some(({ level }) => level === 'refused' || level === 'impossible');
  const isOdd = findings.some(({ level }) => level === 'warning');
  const headline = isBad
    ? `NOT READY: ${world.hostName} could not take over`
    : `${isOdd ? 'WARNING' : 'OK'}: ${world.hostName} can take over`;
  output.json({ ready: !isBad, findings });
  output.lines([...layFindings(findings), '', headline]);
  await sendReport(machine, {
    status: isBad ? 'failed' : isOdd ? 'warning' : 'ok',
    subject: 'rehearsal',
    headline,
    lines: layFindings(findings),
    ...(isBad ? { nextStep: 'look at what is refused, then: fallback deploy --rehearse' } : {}),
    facts: { ready: !isBad, findings },
    hostName: world.hostName,
    timeMs: world.nowMs(),
  });
  return isBad ? 1 : undefined;
}

/** Asks once before anything is changed. */
async function confirm(invocation: Invocation): Promise<void> {
  const { world, signal } = invocation;
  if (invocation.get(yesOption) === true || invocation.get(autoOption) === true || !canAsk(world)) return;
  const answer = await askLine(world, 'Take over now? This server becomes the main server. Type yes: ', signal);
  if (answer.trim().toLowerCase() === 'yes') return;
  throw new FallbackError('INTERRUPTED', 'Nothing was changed.', {
    hint: 'Type fallback deploy when you want to take over.',
  });
}

export function layDns(outcomes: readonly DnsOutcome[]): string[] {
  const words: Readonly<Record<DnsOutcome['action'], string>> = {
    same: 'DNS points here already',
    shown: 'CHANGE THESE RECORDS at your registrar',
    dyndns: 'DynDNS was told',
    pushed: 'the registrar was told',
    script: 'your script did it',
    failed: 'FAILED; change these records yourself',
    none: 'nothing to change',
  };
  return outcomes.flatMap(({ domain, action, reason, records, seen }) => [
    `${domain}: ${words[action]}${reason === undefined ? '' : ` (${reason})`}`,
    ...(action === 'same' || action === 'none'
      ? []
      : records.map(({ name, type, content, ttlSeconds }) => `    ${name}. ${ttlSeconds} IN ${type} ${content}`)),
    ...(action === 'same' || action === 'none'
      ? []
      : [`    DNS answers now: ${seen.join(', ') || 'nothing'}; the old answer may live on for its TTL`]),
  ]);
}

export function layReport(report: DeployReport, isComplete: boolean): string[] {
  const { plan, system, apps, dns, epoch } = report;
  const restored = apps.filter(({ status }) => status === 'restored').map(({ id }) => id);
  const missing = apps.filter(({ status }) => status === 'missing');
  return [
    isComplete
      ? `This server has taken over from ${plan.mainHost}: snapshot ${plan.snapshot}, epoch ${epoch}.`
      : `This server has taken over from ${plan.mainHost}, and SOMETHING IS MISSING: snapshot ${plan.snapshot}, epoch ${epoch}.`,
    `  system: ${system.restored.join(', ') || 'not restored'}`,
    ...system.missing.map(({ name, reason }) => `  MISSING system part ${name}: ${reason}`),
    `  apps: ${restored.join(', ') || 'none'}`,
    ...missing.map(({ id, reason }) => `  MISSING ${id}: ${reason ?? ''}`),
    ...report.notAside.map(
      ({ name, reason }) => `  This server’s own ${name} was not touched: it could not be put aside. ${reason}`,
    ),
    ...plan.otherArchives.map(
      (name) =>
        `  ${name} is not restored by itself: fallback restore ${plan.snapshot} ${name} --dir STORE --to FOLDER`,
    ),
    ...layDns(dns).map((line) => `  ${line}`),
    isComplete
      ? 'When the main server is back: fallback close here, then fallback update there.'
      : 'Type fallback deploy again: it tries only what is missing.',
  ];
}

async function dnsTools() {
  const { Resolver } = await import('node:dns/promises');
  const resolver = new Resolver({ timeout: 3000, tries: 2 });
  return {
    resolve: async (domain: string, type: 'A' | 'AAAA') =>
      type === 'A' ? await resolver.resolve4(domain) : await resolver.resolve6(domain),
  };
}

/** Begins, goes on, or tries again what is missing. */
export async function takeOver(
  machine: Machine,
  session: RepositorySession<FolderRepository>,
  journal: Journal,
): Promise<DeployReport> {
  const { invocation, host } = machine;
  const [deploy, { mayDeploy }, { pinSnapshot }, { requireState }] = await Promise.all([
    import('../../yunohost/takeover/deploy.ts'),
    import('../../yunohost/takeover/preflight.ts'),
    import('../../store/retention.ts'),
    import('../../yunohost/takeover/journal.ts'),
  ]);
  requireState(journal, 'deploy', ['idle', 'prepared', 'deployed']);
  await refuseWhileRecovering(machine, 'deploy');
  const request: DeployRequest = {
    host,
    session,
    journal,
    pin: (number) => pinSnapshot(session.repository, number),
    dns: await dnsTools(),
  };
  if (journal.state === 'deployed') {
    const known = deploy.reportOf(journal);
    if (deploy.isWhole(known)) return known;
    invocation.output.note('fallback: this server has taken over already; trying what is missing');
    await deploy.retryMissing(request);
  } else if (deploy.isDeployOpen(journal)) {
    invocation.output.note('fallback: going on with the takeover that was interrupted');
    await journal.record({ facts: { [deploy.deployFacts.stoppedByHand]: undefined } });
  } else {
    const { findings, plan } = await look(machine, session);
    for (const line of layFindings(findings)) invocation.output.note(line);
    if (!mayDeploy(findings, invocation.get(forceOption) === true)) {
      const first =
        findings.find(({ level }) => level === 'impossible') ?? findings.find(({ level }) => level === 'refused');
      throw new FallbackError('TAKEOVER_REFUSED', `${first?.text ?? ''} Nothing was changed.`, {
        hint: first?.hint ?? 'Look at what was refused above.',
        details: { findings },
      });
    }
    await confirm(invocation);
    await deploy.beginDeploy(request, plan);
  }
  return await deploy.runDeploy(request);
}

async function run(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'fallback');
  const { invocation } = machine;
  if (invocation.get(rehearseOption) === true) return await rehearse(machine);
  const isAuto = invocation.get(autoOption) === true;
  return await withLock(machine, 'deploy', async () => {
    const journal = await openJournal(machine);
    const { deployFacts, isDeployOpen, isWhole } = await import('../../yunohost/takeover/deploy.ts');
    let report: DeployReport;
    try {
      report = await withFolderSession(machine, (session) => takeOver(machine, session, journal), isAuto);
    } catch (error) {
      // Whoever types Ctrl-C does not want the watch to go on a minute later.
      if (invocation.signal.aborted && !isAuto && isDeployOpen(journal))
        await journal.record({ facts: { [deployFacts.stoppedByHand]: true } });
      throw error;
    }
    const isComplete = isWhole(report);
    const { plan, ...rest } = report;
    invocation.output.json({
      complete: isComplete,
      snapshot: plan.snapshot,
      ...rest,
      otherArchives: plan.otherArchives,
    });
    invocation.output.lines(layReport(report, isComplete));
    return isComplete ? undefined : 3;
  });
}

export const deployCommand: CommandBody = {
  description: [
    'Looks at everything first and changes nothing until that is good: the key opens the repository, the snapshot is fresh, every archive can be rebuilt, ' +
      'there is space, the versions fit. Then it shuts the main server’s pushes out, puts this server’s own state aside and proves that, ' +
      'restores the system, then each app in a command of its own.',
    'Interrupted anywhere, by a crash or a reboot too: type the same command again. Once it has taken over, it tries only what is missing; an app that somebody repaired meanwhile is left as it is. ' +
      'It exits with 3 while something is missing.',
    'With --rehearse it changes nothing, and reports where push reports go; a timer runs it every month.',
  ],
  options: [rehearseOption, snapshotOption, maxAgeOption, forceOption, autoOption, yesOption, ...folderTakeoverOptions],
  examples: [
    ['fallback deploy --rehearse', 'could this server take over? Changes nothing'],
    ['fallback deploy', 'the main server is down: take over'],
    ['fallback deploy --snapshot 41 --max-age 7d', 'an older snapshot'],
  ],
  json: [
    'One object: `complete`, `snapshot`, `epoch`, `system` (`restored`, `missing`), `apps` (each `id`, `status`, `reason`), `dns`, `notAside`, `otherArchives`. ' +
      'With --rehearse: `ready`, `findings` (each `level`, `text`, `hint`).',
  ],
  run,
};
