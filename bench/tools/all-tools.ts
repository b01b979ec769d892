// Every tool that the bench can run, by the name for --tools.
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { firstLine } from '../report/machine.ts';
import type { Report } from '../report/report.ts';
import { borgInFolder, borgOverSsh } from './borg.ts';
import { bupInFolder } from './bup.ts';
import { fallbackOverHttps } from './fallback.ts';
import { resticInFolder, resticOverHttps } from './restic.ts';
import { rsyncCopy } from './rsync.ts';
import { sshdPath } from './sshd.ts';
import type { Tool } from './tool.ts';

/** Borg's rolling hash with chunks of 64 KiB on average. */
const smallChunks = 'buzhash,14,18,16,4095';

export const toolMakers: Readonly<Record<string, () => Tool>> = {
  fallback: fallbackOverHttps,
  restic: resticOverHttps,
  'restic-folder': resticInFolder,
  borg: borgOverSsh,
  'borg-folder': borgInFolder,
  'borg-64k': () => borgOverSsh(smallChunks),
  bup: bupInFolder,
  rsync: rsyncCopy,
};

const packages: Readonly<Record<string, () => boolean>> = {
  restic: () => firstLine('restic', ['version']) !== undefined,
  rclone: () => firstLine('rclone', ['version']) !== undefined,
  borgbackup: () => firstLine('borg', ['--version']) !== undefined,
  'openssh-server': () => existsSync(sshdPath),
  'openssh-client': () => existsSync('/usr/bin/ssh'),
  openssl: () => firstLine('openssl', ['version']) !== undefined,
  bup: () => firstLine('bup', ['version']) !== undefined,
  rsync: () => firstLine('rsync', ['--version']) !== undefined,
};

const policyPath = '/usr/sbin/policy-rc.d';

/** Installs Debian's packages of the peers where that is possible; no service is started, now or at the next boot. */
export function installPeers(report: Report): void {
  const missing = Object.entries(packages).filter(([, isThere]) => !isThere());
  if (missing.length === 0) return;
  const names = missing.map(([name]) => name);
  if (process.geteuid?.() !== 0 || firstLine('apt-get', ['--version']) === undefined) {
    report.note(`Not installed, and left out: ${names.join(', ')}. As root on Debian, this mode installs them.`);
    return;
  }
  report.progress(`installing ${names.join(', ')} with apt-get; no service is started`);
  const isOurs = !existsSync(policyPath);
  if (isOurs) writeFileSync(policyPath, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    const options = {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      timeout: 600_000,
    } as const;
    execFileSync('apt-get', ['update'], options);
    execFileSync('apt-get', ['install', '-y', '--no-install-recommends', ...names], options);
    // Debian enables the ssh service when its package comes: the bench asked for the program only.
    if (names.includes('openssh-server') && existsSync('/run/systemd/system'))
      execFileSync('systemctl', ['disable', '--quiet', 'ssh.service'], options);
  } catch (error) {
    report.note(
      `apt-get could not install all of ${names.join(', ')}: ${error instanceof Error ? error.message.split('\n')[0] : error}`,
    );
  } finally {
    if (isOurs) rmSync(policyPath, { force: true });
  }
}

/** The tools of these names that can run; the others are told. @throws for a name that is none. */
export function pickTools(names: readonly string[], report: Report): Tool[] {
  const picked: Tool[] = [];
  for (const name of names) {
    const make = toolMakers[name];
    if (make === undefined)
      throw new Error(`There is no tool "${name}"; there are: ${Object.keys(toolMakers).join(', ')}.`);
    const tool = make();
    if (tool.version === undefined) report.note(`${tool.name}: left out, ${tool.missing ?? 'it'} is not installed.`);
    else picked.push(tool);
  }
  return picked;
}
