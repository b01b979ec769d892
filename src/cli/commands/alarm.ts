// fallback alarm: on the fallback server, tells by mail when no complete snapshot came in time.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RetentionPolicy } from '../../store/retention-policy.ts';
import type { Store } from '../../store/store.ts';
import type { Configuration } from '../../yunohost/configuration/schema.ts';
import type { Delivery } from '../../yunohost/report/deliver-report.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { type NamedRepository, namedRepositories, openStoreOf, pickRepository } from '../open-repository.ts';
import { configOption, deliveryOf, openConfiguration, tellerOf, withConfiguration } from '../open-yunohost.ts';
import { jsonOption, quietOption, stateFolder, stateOption } from '../shared-options.ts';
import { showAge, showText } from '../show.ts';

/** The policy of the configuration; undefined when it says nothing else than the default. */
async function policyOf({ retention }: Configuration): Promise<RetentionPolicy | undefined> {
  const { defaultRetentionPolicy } = await import('../../store/retention-policy.ts');
  const isDefault = Object.entries(defaultRetentionPolicy).every(
    ([key, value]) => retention[key as keyof RetentionPolicy] === value,
  );
  return isDefault ? undefined : { ...retention };
}

/** What the configuration says about retention holds in the store. */
async function applyPolicy(store: Store, configuration: Configuration, repository: NamedRepository): Promise<void> {
  const policy = await policyOf(configuration);
  if (policy === undefined) return;
  const { requireRules } = await import('../../store/retention-policy.ts');
  requireRules(policy);
  const id = repository.repository.repositoryId;
  const settings = await store.settings(id);
  if (JSON.stringify(settings.retention) === JSON.stringify(policy)) return;
  await store.changeSettings(id, { ...settings, retention: policy });
}

async function run(given: Invocation): Promise<number | undefined> {
  const configuration = await openConfiguration(given);
  const { role } = configuration.server;
  if (role !== 'fallback') {
    throw new FallbackError('USAGE', 'The alarm belongs on the fallback server; this is the main server.', {
      hint: 'The main server’s push reports by itself: see [report] in docs/CONFIGURATION.md.',
    });
  }
  const invocation = withConfiguration(given, configuration);
  const delivery = deliveryOf(invocation, configuration, stateFolder(invocation));
  const { tellOnce } = await import('../../yunohost/report/tell-once.ts');
  // Whose alarm does not work must not take its silence for good news.
  return await tellOnce(tellerOf(invocation, delivery, 'alarm'), () => look(invocation, configuration, delivery));
}

/** Looks at the repositories that the configuration means, and sends what is due. */
async function look(
  invocation: Invocation,
  configuration: Configuration,
  delivery: Delivery,
): Promise<number | undefined> {
  const { folder, repository: name } = configuration.store;
  const { world, output } = invocation;
  const [{ raiseAlarms }, { ensureFolder }] = await Promise.all([
    import('../../yunohost/report/alarm.ts'),
    import('../../fs/ensure-folder.ts'),
  ]);
  const store = await openStoreOf(invocation, folder);
  try {
    const all = await namedRepositories(store);
    const watched = name === '' ? all : [pickRepository(all, name)];
    for (const one of watched) await applyPolicy(store, configuration, one);
    await ensureFolder(world.fs, delivery.stateFolder);
    const statuses = watched.map(({ status }) => status);
    const { late, reports, undelivered } = await raiseAlarms(statuses, delivery, world.hostName);
    for (const status of statuses) {
      const isLate = late.includes(status.repositoryId);
      const last = status.lastCompleteAtMs;
      output.json({ repositoryId: status.repositoryId, name: status.name, late: isLate, lastCompleteAtMs: last });
      const when = last === undefined ? 'never' : showAge(last, status.serverTimeMs);
      output.line(`${showText(status.name)}: last complete snapshot ${when}${isLate ? ': TOO OLD' : ''}`);
    }
    for (const report of reports) output.note(`fallback: told: ${report.headline}`);
    for (const failure of undelivered) output.warn(failure);
    return undelivered.length > 0 ? 1 : undefined;
  } finally {
    await store.close();
  }
}

export const alarmCommand: CommandBody = {
  description: [
    'Looks at the newest complete snapshot of each repository. When it is older than alarm.max_age, a mail goes out: one for each ' +
      'incident, and one when it is over. It also sets the retention policy that the configuration asks for.',
    'Exits with 1 when the mail could not be sent: it is tried again the next time. What keeps it from looking (the store does not open) is told by mail too, once until it can look again.',
  ],
  options: [configOption, stateOption, quietOption, jsonOption],
  examples: [['fallback alarm', 'on the fallback server']],
  json: ['A line for each repository: `repositoryId`, `name`, `late`, `lastCompleteAtMs` (absent: never).'],
  run,
};
