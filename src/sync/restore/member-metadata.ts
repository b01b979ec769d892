// Mode, owner and times of what was restored.
import { fchmodSync, fchownSync, futimesSync, lchownSync, lutimesSync } from 'node:fs';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CatalogueMember } from '../../format/catalogue.ts';

/** What is restored of a member besides its contents. */
export interface MetadataOptions {
  /** Whether owner and group are set, by number; only root can. */
  readonly withOwners?: boolean;
  /** Whether setuid and setgid bits are kept. */
  readonly withSetuid?: boolean;
}

const idMax = 2 ** 32 - 2;
const setuidBits = 0o6000;
/** What every file system holds: years 1901 to 2242. */
const secondsMin = -(2 ** 31);
const secondsMax = 2 ** 33;

/** As a text: Node.js takes a number below zero for the present. */
const timeOf = ({ modifiedSeconds }: CatalogueMember): string =>
  String(Math.min(Math.max(modifiedSeconds, secondsMin), secondsMax));

function ownerOf(member: CatalogueMember, options: MetadataOptions): { user: number; group: number } | undefined {
  if (options.withOwners !== true || process.geteuid?.() !== 0) return undefined;
  const { userId: user, groupId: group } = member;
  if (user < 0 || user > idMax || group < 0 || group > idMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `Its owner ${user}:${group} is not one that this system can have`);
  }
  return { user, group };
}

/** The permission bits that a member gets. */
export function modeOf(member: CatalogueMember, options: MetadataOptions): number {
  return options.withSetuid === true ? member.mode & 0o7777 : member.mode & 0o7777 & ~setuidBits;
}

/** Sets owner, mode and time of an open file or folder; the mode after the owner, which takes setuid bits away. */
export function applyMetadata(descriptor: number, member: CatalogueMember, options: MetadataOptions): void {
  const owner = ownerOf(member, options);
  if (owner !== undefined) fchownSync(descriptor, owner.user, owner.group);
  fchmodSync(descriptor, modeOf(member, options));
  futimesSync(descriptor, timeOf(member), timeOf(member));
}

/** Sets owner and time of a symbolic link itself, never of what it points to. */
export function applyLinkMetadata(path: Buffer, member: CatalogueMember, options: MetadataOptions): void {
  const owner = ownerOf(member, options);
  if (owner !== undefined) lchownSync(path, owner.user, owner.group);
  lutimesSync(path, timeOf(member), timeOf(member));
}
