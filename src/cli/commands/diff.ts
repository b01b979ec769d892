// fallback diff A B: what changed from one snapshot to another.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { DiffCounters, SnapshotDifference } from '../../sync/compare/diff-snapshots.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { withRepository } from '../open-repository.ts';
import { startProgress } from '../progress-line.ts';
import { jsonOption, quietOption, readingOptions } from '../shared-options.ts';
import { showBytes, showCount, showText } from '../show.ts';

const marks = { added: '+', removed: '-', changed: 'M', contents: 'M', metadata: 'm' } as const;

function describeSizes({ beforeBytes, afterBytes }: SnapshotDifference): string {
  if (beforeBytes === undefined) return showBytes(afterBytes ?? 0);
  if (afterBytes === undefined || beforeBytes === afterBytes) return showBytes(beforeBytes);
  return `${showBytes(beforeBytes)} -> ${showBytes(afterBytes)}`;
}

function describe(difference: SnapshotDifference): string {
  const { kind, change, archive } = difference;
  const name = kind === 'archive' ? showText(archive) : `    ${showText(difference.name)}`;
  // What m means stands once, in the summary.
  if (kind === 'member' && change === 'metadata') return `${marks[change]} ${name}`;
  return `${marks[change]} ${name}  (${describeSizes(difference)})`;
}

/** How many of each kind there were. */
class Tally {
  readonly #counts = new Map<string, number>();

  count({ kind, change }: SnapshotDifference): void {
    const key = kind === 'archive' ? `archive ${change}` : `member ${change}`;
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  get isEmpty(): boolean {
    return this.#counts.size === 0;
  }
}

function summarise(tally: Tally): string {
  if (tally.isEmpty) return 'No difference.';
  const archives = `${tally.of('archive added')} new, ${tally.of('archive removed')} gone, ${tally.of('archive changed')} changed`;
  const members =
    `${tally.of('member added')} new, ${tally.of('member removed')} gone, ${tally.of('member contents')} with other contents, ` +
    `${tally.of('member metadata')} with the same contents and another mode, owner, time or link`;
  return `Archives: ${archives}. Members: ${members}.`;
}

async function run(invocation: Invocation): Promise<undefined> {
  const { world, output, args, signal } = invocation;
  const [first = '', second = '', archive] = args;
  return await withRepository(invocation, async ({ session }) => {
    const [{ findSnapshot }, { diffSnapshots, newDiffCounters }] = await Promise.all([
      import('../../sync/snapshots.ts'),
      import('../../sync/compare/diff-snapshots.ts'),
    ]);
    const [before, after] = [await findSnapshot(session, first), await findSnapshot(session, second)];
    const isThere = [before, after].some(({ record }) => record.archives.some(({ name }) => name === archive));
    if (archive !== undefined && !isThere) {
      const names = after.record.archives.map(({ name }) => name).join(', ');
      throw new FallbackError('NOT_FOUND', `Neither snapshot has an archive ${JSON.stringify(archive)}.`, {
        hint: `There is: ${names}.`,
      });
    }
    const counters: DiffCounters = newDiffCounters();
    const progress = startProgress(world, output, () => ({
      what: 'Comparing',
      done: counters.membersCompared,
      total: undefined,
      unit: 'members',
      part: `${counters.archivesDone} of ${showCount(counters.archivesTotal, 'archive')}`,
    }));
    const tally = new Tally();
    try {
      for await (const difference of diffSnapshots({ session, before, after, archive, counters, signal })) {
        if (!output.isRead) return undefined;
        tally.count(difference);
        output.json(difference);
        output.line(describe(difference));
      }
    } finally {
      progress.stop();
    }
    output.line(summarise(tally));
    return undefined;
  });
}

export const diffCommand: CommandBody = {
  description: [
    'Archives, and the members of those that changed: + new, - gone, M other contents, m the same contents with another mode, owner, time or link.',
  ],
  arguments: [
    { syntax: '<before>', description: 'a snapshot: its number, `latest`, or a date', completion: ['latest'] },
    { syntax: '<after>', description: 'another one', completion: ['latest'] },
    { syntax: '[archive]', description: 'only this archive', completion: 'none' },
  ],
  options: [...readingOptions, quietOption, jsonOption],
  examples: [
    ['fallback diff 11 12', 'what the twelfth night brought'],
    ['fallback diff 2026-11-01 latest nextcloud', 'what changed in one archive since'],
  ],
  json: [
    'A line for each difference: `kind` (`archive` or `member`), `change` (`added`, `removed`; `changed` for an archive; `contents` or `metadata` ' +
      'for a member), `archive`, `name` (of a member), `beforeBytes`, `afterBytes` (absent where there is none).',
  ],
  run,
};
