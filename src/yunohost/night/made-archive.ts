// An archive that is ready to be read by the push, however it was made.
import type { Attributes } from '../../format/snapshot.ts';
import type { ByteSource } from '../../sync/push/byte-source.ts';
import { type BackupResults, isGoodResult, type TargetResult } from '../command/backup-commands.ts';
import type { LogLine } from '../command/read-answer.ts';
import type { NightTarget, YunohostTarget } from './night-target.ts';
import type { InsideInfo } from './prove-archive.ts';

/** One archive between its making and its removal. */
export interface MadeArchive {
  readonly target: NightTarget;
  /** Parts that it should hold and does not. May grow while the bytes are read. */
  readonly missingParts: readonly string[];
  /** Final when the bytes are stored. */
  readonly attributes: Attributes;
  /** May grow while the bytes are read. */
  readonly warnings: string[];
  open(): Promise<ByteSource>;
  /** Ends it well, once its bytes are stored. @throws YUNOHOST_FAILED … which costs a warning only. */
  finish(): Promise<void>;
  /** Ends it in any case, and leaves nothing behind. */
  discard(): Promise<void>;
}

/** Facts for the snapshot: what restores and reports want to know without opening the archive. */
export function attributesOf(
  target: YunohostTarget,
  info: InsideInfo,
  method: string,
  missing: readonly string[],
): Attributes {
  const common = {
    kind: target.kind,
    method,
    yunohostVersion: info.fromYunohostVersion,
    sourceBytes: String(info.sizeBytes),
  };
  if (target.kind === 'system') {
    const held = info.systemParts.filter((part) => !missing.includes(part));
    return { ...common, parts: held.join(' ').slice(0, 4000) };
  }
  const { app } = target;
  return {
    ...common,
    app: app.id,
    appName: (info.apps.get(app.id)?.name ?? app.name).slice(0, 1000),
    appVersion: (info.apps.get(app.id)?.version ?? app.version).slice(0, 1000),
    ...(app.domainPath === undefined ? {} : { domainPath: app.domainPath.slice(0, 1000) }),
  };
}

/**
 * The parts that were asked for and are not in info.json, or only half: of two hooks for one part one may fail, and info.json has
 * the part all the same.
 * @param results once YunoHost has told them.
 */
export function missingParts(target: YunohostTarget, info: InsideInfo, results?: BackupResults): string[] {
  const isBad = (result: TargetResult | undefined): boolean => result !== undefined && !isGoodResult(result);
  if (target.kind === 'system') {
    return target.parts.filter((part) => !info.systemParts.includes(part) || isBad(results?.system.get(part)));
  }
  const { id } = target.app;
  return info.apps.has(id) && !isBad(results?.apps.get(id)) ? [] : [id];
}

/** Stands in every archive of ours. The same for both methods, so that changing the method changes no archive. */
export const archiveDescription = 'made by fallback';

/** Which words ask YunoHost for a target: never an empty list. */
export const wantedOf = (target: YunohostTarget): { apps: readonly string[] } | { system: readonly string[] } =>
  target.kind === 'app' ? { apps: [target.app.id] } : { system: target.parts };

/** Its own noise when a hook says no to `need_mount`: not worth a line in a report. */
const cosmetic = /Could not run script: .*backup_method/;

/** Warnings worth telling: YunoHost's own lines, and parts with a result other than `Success`. */
export function warningsOf(errors: readonly LogLine[], results: BackupResults): string[] {
  const lines = errors
    .filter(({ level, text }) => (level === 'WARNING' || level === 'ERROR') && !cosmetic.test(text))
    .map(({ text }) => text);
  const odd = [...results.system, ...results.apps].filter(([, result]) => isOdd(result));
  return [...new Set([...odd.map(([name, result]) => `${name}: ${result}`), ...lines])].slice(0, 10);
}

const isOdd = (result: TargetResult): boolean => result !== 'Success';
