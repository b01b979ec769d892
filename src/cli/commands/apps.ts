// fallback apps: what is covered and what is not, compared with what is installed now.
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { Coverage } from '../../yunohost/coverage.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { openState, withRepository } from '../open-repository.ts';
import { configOption, openConfiguration, openYunohost, withConfiguration } from '../open-yunohost.ts';
import { downloadLimitOption, jsonOption, stateOption } from '../shared-options.ts';
import { showAge, showBytes, showText } from '../show.ts';
import { layTable } from '../table.ts';

const reasons = {
  excluded: 'not covered: excluded',
  'not-included': 'not covered: not in apps.include',
  'own-app': 'not covered: fallback itself, its files hold the key',
} as const;

const isUnreadable = 'covered, but YunoHost cannot read it: see yunohost app info';
const noData = 'covered, but for its data: do_not_backup_data is 1';
const isMarked = 'not covered: there is a file .nobackup in it';

/** The last snapshot's archives; undefined when the fallback server cannot be asked now. */
async function lastArchives(invocation: Invocation): Promise<readonly SnapshotArchive[] | undefined> {
  const state = await openState(invocation);
  if (!(await state.isPaired())) {
    invocation.output.note('fallback: this machine is not paired yet: fallback init CODE');
    return undefined;
  }
  const [{ findPrevious }, { mainOrigin }] = await Promise.all([
    import('../../yunohost/night/previous-snapshot.ts'),
    import('../../yunohost/night/run-night.ts'),
  ]);
  try {
    return await withRepository(
      invocation,
      async ({ session }) => (await findPrevious(session, mainOrigin))?.record.archives ?? [],
    );
  } catch (error) {
    if (!isFallbackError(error) || error.exitCode === 5) throw error;
    invocation.output.warn(`The fallback server could not be asked what it has: ${error.message}`);
    return undefined;
  }
}

interface Row {
  readonly name: string;
  readonly state: string;
  readonly last: SnapshotArchive | undefined;
}

function rowsOf(coverage: Coverage, archives: readonly SnapshotArchive[]): Row[] {
  const last = new Map(archives.map((archive) => [archive.name, archive]));
  const row = (name: string, state: string): Row => ({ name, state, last: last.get(name) });
  const system = coverage.systemParts;
  const withoutData = new Set(coverage.leftOut.data.map(({ app }) => app));
  return [
    row('system', system === undefined ? 'not covered: system.enabled = false' : `covered: ${system.join(', ')}`),
    ...coverage.systemPartsExcluded.map((part) => row(`system: ${part}`, 'not covered: excluded')),
    ...coverage.leftOut.folders.map((folder) => row(`system: ${folder}`, isMarked)),
    ...coverage.apps.map(({ id }) => row(id, withoutData.has(id) ? noData : 'covered')),
    ...coverage.unreadable.map((id) => row(id, isUnreadable)),
    ...coverage.vanished.map(({ name }) => row(name, 'no longer installed: its last archive is kept')),
    ...coverage.notCovered.map(({ app, reason }) => row(app.id, reasons[reason])),
    ...(coverage.extraPaths.length === 0 ? [] : [row('extra-paths', `covered: ${coverage.extraPaths.join(', ')}`)]),
  ];
}

function describeLast(last: SnapshotArchive | undefined, isKnown: boolean, nowMs: number): string {
  if (!isKnown) return '?';
  if (last === undefined) return 'never';
  const flag = last.status === 'saved' ? '' : ` (${last.status})`;
  return `${showAge(last.savedAtMs, nowMs)}${flag}`;
}

async function run(given: Invocation): Promise<undefined> {
  const configuration = await openConfiguration(given);
  const invocation = withConfiguration(given, configuration);
  const { world, output, signal } = invocation;
  const yunohost = await openYunohost(invocation, configuration);
  const { readCoverage } = await import('../../yunohost/coverage.ts');
  const archives = await lastArchives(invocation);
  const coverage = await readCoverage(yunohost, configuration, archives ?? [], { signal });
  const rows = rowsOf(coverage, archives ?? []);
  const isKnown = archives !== undefined;
  for (const { name, state, last } of rows) {
    output.json({
      name,
      covered: state.startsWith('covered'),
      state,
      lastSavedAtMs: last?.savedAtMs,
      lastStatus: last?.status,
      bytes: last?.recipe.lengthBytes,
    });
  }
  output.lines(
    layTable(
      [{ title: 'NAME' }, { title: 'LAST SAVED' }, { title: 'SIZE', right: true }, { title: 'STATE' }],
      rows.map(({ name, state, last }) => [
        showText(name),
        describeLast(last, isKnown, world.nowMs()),
        last === undefined ? '' : showBytes(last.recipe.lengthBytes),
        showText(state),
      ]),
    ),
  );
  for (const warning of [...coverage.mistakes, ...coverage.warnings]) output.warn(warning);
  return undefined;
}

export const appsCommand: CommandBody = {
  description: [
    'Compares the configuration with what is installed now and with the last snapshot. An app that you install is covered without ' +
      'anything to do; the last archive of one that you remove stays until you add it to apps.exclude.',
  ],
  options: [configOption, stateOption, downloadLimitOption, jsonOption],
  examples: [['fallback apps', 'on the main server, as root']],
  json: [
    'A line for each app, the system, each excluded part and the extra paths: `name`, `covered`, `state`, `lastSavedAtMs`, `lastStatus`, `bytes`.',
  ],
  run,
};
