// fallback watch: the fallback server looks whether the main server lives, tells, and takes over when it was told to.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { Journal } from '../../yunohost/takeover/journal.ts';
import type { ProbeResult } from '../../yunohost/takeover/probes.ts';
import type { WatchState, WatchVerdict } from '../../yunohost/takeover/watch.ts';
import { type CommandBody, flagOption, type Invocation } from '../command-spec.ts';
import { asFallbackError } from '../error-report.ts';
import { watchedDomains } from '../main-domain.ts';
import { namedRepositories, openStoreOf, pickRepository } from '../open-repository.ts';
import { type Machine, openJournal, openMachine, sendReport, withFolderSession, withLock } from '../open-takeover.ts';
import { configOption, deliveryOf, tellerOf } from '../open-yunohost.ts';
import {
  absolutePath,
  jsonOption,
  quietOption,
  readFolderOption,
  repositoryOption,
  stateOption,
} from '../shared-options.ts';
import { layReport, takeOver } from './deploy.ts';

const testOption = flagOption('--test', 'look once and show what each probe says; keep nothing, tell nobody');
const stateFile = 'watch.json';

async function readState(machine: Machine): Promise<WatchState> {
  try {
    return JSON.parse(await readFile(join(machine.host.stateFolder, stateFile), 'utf8')) as WatchState;
  } catch {
    // A note that is lost or damaged begins the silence anew: it can only delay a takeover.
    return {};
  }
}

async function keepState({ invocation, host }: Machine, state: WatchState): Promise<void> {
  const [{ replaceFile }, { ensureFolder }] = await Promise.all([
    import('../../fs/replace-file.ts'),
    import('../../fs/ensure-folder.ts'),
  ]);
  const { world } = invocation;
  await ensureFolder(world.fs, host.stateFolder);
  const random = Buffer.from(world.randomBytes(8)).toString('hex');
  const path = join(host.stateFolder, stateFile);
  await replaceFile(world.fs, path, Buffer.from(`${JSON.stringify(state)}\n`), host.stateFolder, random);
}

interface Found {
  readonly isOwnLinkDown: boolean;
  readonly probes: readonly ProbeResult[];
  /** Why silence proves nothing, and what to do about it; undefined: it does. */
  readonly blindness: { readonly reason: string; readonly nextStep: string } | undefined;
}

/** The store alone is silent after every night: only who asks the main server itself can say that it is down. */
function blindnessOf({ configuration }: Machine, domains: readonly string[]): Found['blindness'] {
  const { ownLink, deploy } = configuration.watch;
  if (domains.length === 0) {
    return {
      reason: 'No probe asks the main server itself: watch.domains is empty, and no domain of it was noted here yet.',
      nextStep: 'set watch.domains; or, here: fallback deploy --rehearse, or fallback arm',
    };
  }
  if (deploy && ownLink.length === 0) {
    return {
      reason: 'watch.deploy is set and watch.own_link is empty: whether this server’s own link is down cannot be told.',
      nextStep: 'name addresses that always answer in watch.own_link, or unset watch.deploy',
    };
  }
  return undefined;
}

/** All probes at once; the store is read without a key. */
async function probe(machine: Machine): Promise<Found> {
  const { invocation, configuration } = machine;
  const { probeWeb, probeSmtp, probeStore } = await import('../../yunohost/takeover/probes.ts');
  const { watch, store: place } = configuration;
  const own = await Promise.all(watch.ownLink.map(probeWeb));
  const store = await openStoreOf(
    invocation,
    absolutePath(invocation.world, invocation.get(readFolderOption) ?? place.folder),
  );
  try {
    const { status } = pickRepository(
      await namedRepositories(store),
      invocation.get(repositoryOption) ?? (place.repository || undefined),
    );
    const domains = await watchedDomains(machine);
    const probes = await Promise.all([
      ...domains.map((domain) => probeWeb(`https://${domain}/`)),
      ...(watch.smtp ? domains.map((domain) => probeSmtp(domain)) : []),
    ]);
    return {
      isOwnLinkDown: own.length > 0 && !own.some(({ isAlive }) => isAlive),
      probes: [...probes, ...probeStore(status, watch.delay)],
      blindness: blindnessOf(machine, domains),
    };
  } finally {
    await store.close();
  }
}

const words: Readonly<Record<WatchVerdict, string>> = {
  alive: 'the main server is alive',
  quiet: 'the main server is silent; not long enough yet for an incident',
  incident: 'INCIDENT: the main server does not answer',
  'still-down': 'the main server is still down',
  recovered: 'the main server is back',
  'cut-off': 'this server’s own link is down: nothing can be said of the main server',
  blind: 'nothing can be said of the main server',
};

async function tellPeople(machine: Machine, verdict: WatchVerdict, lines: readonly string[]): Promise<void> {
  const { world } = machine.invocation;
  const isBad = verdict !== 'recovered';
  // Both ends of an incident are told, also where only errors are mailed.
  const mail = machine.configuration.report.mail === 'never' ? 'never' : 'always';
  const configuration = { ...machine.configuration, report: { ...machine.configuration.report, mail } } as const;
  await sendReport(
    { ...machine, configuration },
    {
      status: isBad ? 'failed' : 'ok',
      subject: 'watch',
      headline: `${isBad ? 'INCIDENT' : 'OK again'}: ${words[verdict].replace(/^INCIDENT: /, '')}`,
      lines,
      ...(isBad ? { nextStep: 'look at the main server; to take over, here: fallback deploy' } : {}),
      facts: { verdict },
      hostName: world.hostName,
      timeMs: world.nowMs(),
    },
  );
}

/** Said once: who relies on a watch must know that it sees nothing. */
async function tellBlindness(machine: Machine, { reason, nextStep }: NonNullable<Found['blindness']>): Promise<void> {
  const { world } = machine.invocation;
  await sendReport(machine, {
    status: 'warning',
    subject: 'watch',
    headline: `WARNING: ${world.hostName} cannot tell whether the main server lives`,
    lines: [reason, 'Until then no incident is told, and nothing is taken over.'],
    nextStep,
    facts: { verdict: 'blind', reason },
    hostName: world.hostName,
    timeMs: world.nowMs(),
  });
}

const headOf = ({ invocation: { world } }: Machine) =>
  ({ subject: 'takeover', hostName: world.hostName, timeMs: world.nowMs() }) as const;

/** Does what takes over without asking; what stops it is told. */
async function tellFailure<Result>(machine: Machine, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    const { reportOfError } = await import('../../yunohost/report/report.ts');
    await sendReport(machine, reportOfError('takeover', asFallbackError(thrown), headOf(machine)));
    throw thrown;
  }
}

/** Takes over, or goes on with it, under the lock. */
async function deployAlone(machine: Machine, journal: Journal): Promise<number | undefined> {
  const { world, output } = machine.invocation;
  const done = await withFolderSession(machine, (session) => takeOver(machine, session, journal), true);
  const { isWhole } = await import('../../yunohost/takeover/deploy.ts');
  const isComplete = isWhole(done);
  const lines = layReport(done, isComplete);
  output.lines(lines);
  const headline = isComplete
    ? `${world.hostName} HAS TAKEN OVER`
    : `${world.hostName} has taken over, and SOMETHING IS MISSING`;
  await sendReport(machine, {
    ...headOf(machine),
    status: 'warning',
    headline,
    lines,
    facts: { complete: isComplete },
  });
  return isComplete ? undefined : 3;
}

/** Why this server does not go on by itself with a takeover that lies half done; undefined: it may. */
async function whyNotAlone(
  { invocation, configuration, host }: Machine,
  journal: Journal,
): Promise<string | undefined> {
  const [{ readArmedKey }, { deployFacts }] = await Promise.all([
    import('../../yunohost/takeover/armed-key.ts'),
    import('../../yunohost/takeover/deploy.ts'),
  ]);
  if (journal.fact(deployFacts.stoppedByHand) === true) return 'Somebody stopped it by hand.';
  if (journal.isAnyBegun((step) => step.startsWith('close:'))) return 'Somebody began to give it up: fallback close';
  if (!configuration.watch.deploy) return 'watch.deploy is not set: this server does not take over by itself.';
  try {
    const key = await readArmedKey(invocation.world.fs, host.stateFolder);
    return key === undefined ? 'This server is not armed: fallback arm' : undefined;
  } catch (thrown) {
    return asFallbackError(thrown).message;
  }
}

/** A takeover that was cut off, by a power failure say: gone on with where this server may, told once otherwise. */
async function attendHalfDone(machine: Machine): Promise<number | undefined> {
  const { world, output } = machine.invocation;
  const { decideHalfDone, resumesMax } = await import('../../yunohost/takeover/watch.ts');
  const { isDeployOpen } = await import('../../yunohost/takeover/deploy.ts');
  let isLocked = false;
  try {
    return await withLock(machine, 'deploy', async () => {
      isLocked = true;
      const journal = await openJournal(machine);
      if (!isDeployOpen(journal)) return undefined;
      const why = await whyNotAlone(machine, journal);
      const { action, state } = decideHalfDone(await readState(machine), why === undefined);
      if (action === 'resume') {
        output.line(`A takeover lies half done: going on with it, try ${state.resumes ?? 1} of ${resumesMax}.`);
        // Counted before it begins: a try that takes the machine down is one.
        await keepState(machine, state);
        return await tellFailure(machine, () => deployAlone(machine, journal));
      }
      const reason = why ?? `It was gone on with ${resumesMax} times, and did not come to its end.`;
      output.line(`A takeover lies half done. ${reason}`);
      if (action === 'rest') return undefined;
      await sendReport(machine, {
        ...headOf(machine),
        status: 'failed',
        headline: `HALF DONE: the takeover by ${world.hostName} is not finished`,
        lines: [reason, `Begun and not ended: ${journal.openSteps.join(', ') || 'nothing'}.`],
        nextStep: 'here: fallback deploy goes on with it, fallback close gives it up',
        facts: { state: journal.state, reason, openSteps: journal.openSteps },
      });
      await keepState(machine, state);
      return undefined;
    });
  } catch (thrown) {
    if (isLocked || !isFallbackError(thrown, 'BUSY')) throw thrown;
    output.line('A takeover is under way: the watch rests.');
    return undefined;
  }
}

interface Look {
  readonly journal: Journal;
  /** Undefined: nothing is watched while a takeover is under way. */
  readonly found: Found | undefined;
}

/** Looks at this machine's journal and at the main server. What keeps it from that is told once: a watch that cannot look is none. */
async function look(machine: Machine, isTest: boolean): Promise<Look> {
  const { invocation, configuration, host } = machine;
  const { isDeployOpen } = await import('../../yunohost/takeover/deploy.ts');
  const work = async (): Promise<Look> => {
    const journal = await openJournal(machine);
    const isAtRest = !isTest && (isDeployOpen(journal) || journal.state !== 'idle');
    return { journal, found: isAtRest ? undefined : await probe(machine) };
  };
  if (isTest) return await work();
  const { tellOnce } = await import('../../yunohost/report/tell-once.ts');
  const delivery = deliveryOf(invocation, configuration, host.stateFolder);
  return await tellOnce(tellerOf(invocation, delivery, 'watch'), work);
}

async function run(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'fallback');
  const { invocation, configuration, host } = machine;
  const { output, world } = invocation;
  const isTest = invocation.get(testOption) === true;
  if (!configuration.watch.enabled && !isTest) {
    output.line('watch.enabled is not set: nothing is watched.');
    return undefined;
  }
  const { journal, found } = await look(machine, isTest);
  if (found === undefined) {
    const { isDeployOpen } = await import('../../yunohost/takeover/deploy.ts');
    if (isDeployOpen(journal)) return await attendHalfDone(machine);
    await notDue(machine, await readState(machine));
    output.line(`This machine’s state is “${journal.state}”: the watch rests.`);
    return undefined;
  }
  const { decideWatch, mayBegin } = await import('../../yunohost/takeover/watch.ts');
  const { isOwnLinkDown, probes, blindness } = found;
  const before = await readState(machine);
  const { verdict, state } = decideWatch({
    before,
    nowMs: world.nowMs(),
    isOwnLinkDown,
    isBlind: blindness !== undefined,
    probes,
    delayMs: configuration.watch.delay,
  });
  const lines = probes.map(({ name, isAlive, said }) => `  ${isAlive ? 'alive ' : 'silent'}  ${name}: ${said}`);
  output.json({ verdict, probes, isOwnLinkDown, blindness: blindness?.reason });
  output.lines([...lines, `${words[verdict]}.`]);
  if (blindness !== undefined) output.lines([blindness.reason, `Next: ${blindness.nextStep}`]);
  if (isTest) return undefined;
  const isAuto = configuration.watch.deploy;
  // Noted before people are told: a machine that goes down in between takes over when it is back.
  const isBegun = verdict === 'incident' && isAuto;
  const noted: WatchState = isBegun ? { ...state, isDue: true, begins: 0 } : state;
  await keepState(machine, noted);
  if (verdict === 'incident' || verdict === 'recovered') await tellPeople(machine, verdict, lines);
  if (blindness !== undefined && verdict === 'blind' && before.isBlindTold !== true)
    await tellBlindness(machine, blindness);
  if (!isAuto || (verdict !== 'incident' && verdict !== 'still-down')) return undefined;
  const { readArmedKey } = await import('../../yunohost/takeover/armed-key.ts');
  // Armed halfway (a damaged key, or one that others can read) throws here, before anything is changed.
  if ((await readArmedKey(world.fs, host.stateFolder)) === undefined) {
    output.warn('watch.deploy is set, but this server is not armed: it does not take over. fallback arm');
    await notDue(machine, noted);
    return undefined;
  }
  // Begun once for each incident: what a person should look at must not be tried every minute.
  if (!mayBegin(noted, world.nowMs(), configuration.watch.delay)) return undefined;
  return await beginAlone(machine, noted, verdict === 'incident');
}

/** Nothing of this incident is begun any more: it has begun, was refused, or is a person's now. */
async function notDue(machine: Machine, { isDue, begins: _, ...rest }: WatchState): Promise<void> {
  if (isDue === true) await keepState(machine, rest);
}

/** Begins the takeover of an incident. A machine that is busy puts it off until the next look, and is told of the first time. */
async function beginAlone(machine: Machine, state: WatchState, isFirst: boolean): Promise<number | undefined> {
  const { output } = machine.invocation;
  const { isDeployOpen } = await import('../../yunohost/takeover/deploy.ts');
  const begin = (): Promise<number | undefined> =>
    withLock(machine, 'deploy', async () => {
      const journal = await openJournal(machine);
      if (journal.state !== 'idle' || isDeployOpen(journal)) {
        output.line('Somebody began a takeover meanwhile: the watch rests.');
        return undefined;
      }
      // Counted before it begins: a try that takes the machine down is one.
      await keepState(machine, { ...state, begins: (state.begins ?? 0) + 1 });
      return await deployAlone(machine, journal);
    });
  try {
    const exitCode = await begin();
    await notDue(machine, state);
    return exitCode;
  } catch (thrown) {
    const isBusy = isFallbackError(thrown, 'BUSY') || isFallbackError(thrown, 'YUNOHOST_BUSY');
    const journal = await openJournal(machine);
    if (!isBusy || journal.state !== 'idle' || isDeployOpen(journal)) {
      await notDue(machine, state);
      return await tellFailure(machine, () => Promise.reject(thrown));
    }
    // It has not begun: no try is counted.
    await keepState(machine, state);
    output.warn(`${asFallbackError(thrown).message} The takeover is put off until the next look.`);
    if (!isFirst) return undefined;
    return await tellFailure(machine, () => Promise.reject(thrown));
  }
}

export const watchCommand: CommandBody = {
  description: [
    'Asks several witnesses: HTTPS of the main server’s domains, its SMTP port, the age of its last snapshot, a push under way. One that answers is enough. ' +
      'First it asks addresses that always answer: when none does, it is this server that is cut off, and nothing is decided.',
    'Without a domain to ask (watch.domains, or the one that fallback arm and fallback deploy --rehearse note) it can tell nothing; and with watch.deploy neither without watch.own_link. It says so once by mail.',
    'Silence longer than watch.delay is an incident: a mail goes out, and one when it is over. With watch.deploy and an armed key, it takes over, once, and never over a refusal; while another command or YunoHost is busy here, that waits for the next look.',
    'A takeover that was cut off is gone on with, up to three times, where this server may take over by itself and nobody stopped it by hand; else one mail says that it lies half done.',
    'What keeps it from looking (the store does not open) is told by mail too, once until it can look again.',
  ],
  options: [testOption, configOption, readFolderOption, repositoryOption, stateOption, quietOption, jsonOption],
  examples: [['fallback watch --test', 'what each probe says now']],
  json: [
    'One object: `verdict`, `isOwnLinkDown`, `probes` (each `name`, `isAlive`, `said`), `blindness` (why nothing can be said; absent where it can).',
  ],
  run,
};
