// Facts about this machine that a restore on another one asks for: kept with every snapshot.
import { readFile } from 'node:fs/promises';
import type { Attributes } from '../../format/snapshot.ts';
import type { YunohostCommand } from '../command/yunohost-command.ts';
import type { CallOptions } from '../command/yunohost-runner.ts';

/** What the snapshot says of the machine that it is from. */
export interface MachineFacts {
  readonly yunohostVersion: string;
  /** `12`, from /etc/os-release; empty when unknown. */
  readonly debianRelease: string;
  /** As Node names it: `x64`, `arm64`. */
  readonly architecture: string;
  readonly mainDomain: string;
  readonly domains: readonly string[];
}

const valueBytesMax = 4000;

/** Reads the release number of an os-release file's text. */
export const readRelease = (text: string): string => /^VERSION_ID="?([\w.]+)"?$/m.exec(text)?.[1] ?? '';

/** What could not be asked, for the report. */
const notSaid = (what: string, error: unknown): string =>
  `This snapshot does not say ${what}, which a takeover asks for: ${error instanceof Error ? error.message : String(error)}`;

/**
 * Asks the machine. Domains and version that cannot be had are left empty: a backup must not fail for them.
 * @param warnings takes a sentence for each of them.
 */
export async function readMachineFacts(
  yunohost: YunohostCommand,
  options: CallOptions,
  warnings: string[],
): Promise<MachineFacts> {
  const versions = await yunohost.server.versions(options).catch((error: unknown) => {
    warnings.push(notSaid('which version of YunoHost it is from', error));
    return new Map<string, string>();
  });
  options.signal?.throwIfAborted();
  const domains = await yunohost.domains.list(options).catch((error: unknown) => {
    warnings.push(notSaid('which domains the server has', error));
    return { domains: [], main: '' };
  });
  options.signal?.throwIfAborted();
  const release = await readFile(yunohost.paths.osRelease, 'utf8').catch(() => '');
  return {
    yunohostVersion: versions.get('yunohost') ?? '',
    debianRelease: readRelease(release),
    architecture: process.arch,
    mainDomain: domains.main,
    domains: domains.domains,
  };
}

/** As attributes of a snapshot; many domains take several, `domains`, `domains2`, … */
export function factsToAttributes(facts: MachineFacts): Attributes {
  const attributes: Record<string, string> = {
    yunohostVersion: facts.yunohostVersion,
    debianRelease: facts.debianRelease,
    architecture: facts.architecture,
    mainDomain: facts.mainDomain,
  };
  let key = 'domains';
  let number = 1;
  for (const domain of facts.domains) {
    const text = attributes[key];
    if (text !== undefined && text.length + domain.length + 1 > valueBytesMax) key = `domains${++number}`;
    attributes[key] = attributes[key] === undefined ? domain : `${attributes[key]} ${domain}`;
    if (number > 20) break;
  }
  return attributes;
}

/** The facts of a snapshot that `fallback` made on a YunoHost machine. */
export function factsFromAttributes(attributes: Attributes): MachineFacts {
  const domains = Object.entries(attributes)
    .filter(([key]) => /^domains\d*$/.test(key))
    .flatMap(([, text]) => text.split(' '));
  return {
    yunohostVersion: attributes['yunohostVersion'] ?? '',
    debianRelease: attributes['debianRelease'] ?? '',
    architecture: attributes['architecture'] ?? '',
    mainDomain: attributes['mainDomain'] ?? '',
    domains: domains.filter((domain) => domain !== ''),
  };
}
