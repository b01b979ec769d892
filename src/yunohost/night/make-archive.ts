// Method `archive`: YunoHost makes a tar, it is proved, read by the push, and removed before the next is made.
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import { openFileSource } from '../../sync/push/byte-source.ts';
import type { Created } from '../command/backup-commands.ts';
import { yunohostFailure } from '../command/yunohost-runner.ts';
import { cleanLeftovers, runVariable } from './clean-leftovers.ts';
import { estimateBytes, requireRoom } from './disk-room.ts';
import {
  archiveDescription,
  attributesOf,
  type MadeArchive,
  missingParts,
  wantedOf,
  warningsOf,
} from './made-archive.ts';
import type { MakeRequest, NightContext } from './night-context.ts';
import type { YunohostTarget } from './night-target.ts';
import { proveArchive } from './prove-archive.ts';

export const bytesOfMib = (mib: number): number => mib * 1024 * 1024;

/** The environment by which a command of ours is known after we were killed. */
export const runEnvironment = ({ state }: NightContext): Readonly<Record<string, string>> => ({
  [runVariable]: state.folder,
});

/** An app that YunoHost cannot save at all is told apart from one that failed tonight. */
export function explainFailure(error: unknown, target: YunohostTarget): unknown {
  const failure = yunohostFailure(error);
  if (failure?.errors.some((line) => line.includes('has no backup script')) !== true) return error;
  return new FallbackError('YUNOHOST_FAILED', `The app ${target.name} has no backup script: YunoHost cannot save it.`, {
    hint: `If that is how it shall be, add "${target.name}" to apps.exclude.`,
    details: { ...failure },
  });
}

async function create(context: NightContext, target: YunohostTarget): Promise<Created> {
  const { configuration, yunohost, signal } = context;
  return await yunohost.backups.create(
    { name: target.yunohostName, description: archiveDescription, ...wantedOf(target) },
    { timeLimitMs: configuration.yunohost.timeLimit, signal, environment: runEnvironment(context) },
  );
}

/**
 * Makes and proves one archive.
 * @throws what YunohostCommand throws, DISK_FULL, ARCHIVE_UNREADABLE; nothing is left on the disk then.
 */
export async function makeArchive(target: YunohostTarget, { context, previous }: MakeRequest): Promise<MadeArchive> {
  const { yunohost, configuration, signal } = context;
  const { paths } = yunohost;
  const clean = async (): Promise<void> => {
    await cleanLeftovers(paths, target.yunohostName);
  };
  try {
    const folder = await nearestFolder(context);
    const neededBytes = await estimateBytes(paths, target, previous);
    requireRoom(paths.backups, neededBytes, bytesOfMib(configuration.push.reserveMib), await context.freeBytes(folder));
    const created = await create(context, target);
    const proven = await proveArchive(paths, target.yunohostName, signal);
    const missing = missingParts(target, proven.info, created.results);
    return {
      target,
      missingParts: missing,
      attributes: attributesOf(target, proven.info, 'archive', missing),
      warnings: warningsOf(created.errors, created.results),
      open: () => openFileSource(proven.path),
      finish: clean,
      discard: clean,
    };
  } catch (error) {
    await clean();
    throw explainFailure(error, target);
  }
}

/** The folder of backups, or the nearest one above that exists. */
async function nearestFolder({ yunohost, freeBytes }: NightContext): Promise<string> {
  for (const path of [yunohost.paths.backups, yunohost.paths.homes]) {
    try {
      await freeBytes(path);
      return path;
    } catch (error) {
      if (!isMissingFolder(error)) throw error;
    }
  }
  return yunohost.paths.root;
}

const isMissingFolder = (error: unknown): boolean =>
  isFallbackError(error, 'NOT_FOUND') || (error instanceof Error && 'code' in error && error.code === 'ENOENT');
