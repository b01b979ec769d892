// Where YunoHost keeps what this program touches. Everything hangs under one prefix, so that a test server is a folder.
import { join } from 'node:path';

/** The paths of one YunoHost machine, real paths under its root prefix (`/` on a real one). */
export class HostPaths {
  readonly root: string;

  /** @param root an absolute folder; `/` unless the machine is a test's. */
  constructor(root = '/') {
    this.root = root;
  }

  /** The real place of a path as the machine names it: `/etc/yunohost`. */
  at(path: string): string {
    return this.root === '/' ? path : join(this.root, path);
  }

  /** A real path as the machine names it, for messages. */
  shown(path: string): string {
    return this.root !== '/' && path.startsWith(`${this.root}/`) ? path.slice(this.root.length) : path;
  }

  /** YunoHost's own folder of backups: its file system is the one that must have room. */
  get backups(): string {
    return this.at('/home/yunohost.backup');
  }

  get archives(): string {
    return this.at('/home/yunohost.backup/archives');
  }

  /** Where `backup create` and `backup restore` work, a folder for each name. */
  get temporary(): string {
    return this.at('/home/yunohost.backup/tmp');
  }

  get yunohost(): string {
    return this.at('/etc/yunohost');
  }

  /** There once the post-install was done. */
  get installedMark(): string {
    return this.at('/etc/yunohost/installed');
  }

  get apps(): string {
    return this.at('/etc/yunohost/apps');
  }

  get domainSettings(): string {
    return this.at('/etc/yunohost/domains');
  }

  get certificates(): string {
    return this.at('/etc/yunohost/certs');
  }

  get dyndnsKeys(): string {
    return this.at('/etc/yunohost/dyndns');
  }

  get methodHooks(): string {
    return this.at('/etc/yunohost/hooks.d/backup_method');
  }

  get restoreHooks(): string {
    return this.at('/etc/yunohost/hooks.d/restore');
  }

  get accounts(): string {
    return this.at('/etc/passwd');
  }

  get groups(): string {
    return this.at('/etc/group');
  }

  get osRelease(): string {
    return this.at('/etc/os-release');
  }

  get homes(): string {
    return this.at('/home');
  }

  get mail(): string {
    return this.at('/var/mail');
  }

  get yunohostLogs(): string {
    return this.at('/var/log/yunohost');
  }

  /** This program's own configuration. */
  get configuration(): string {
    return this.at('/etc/fallback/config.toml');
  }

  /** For sockets that live as long as a run. */
  get runFolder(): string {
    return this.at('/run/fallback');
  }

  /** The file of an archive that YunoHost made or is to restore. */
  archive(name: string): string {
    return join(this.archives, `${name}.tar`);
  }

  archiveInfo(name: string): string {
    return join(this.archives, `${name}.info.json`);
  }

  /** The work folder of a `backup create -n NAME` or `backup restore NAME`. */
  workFolder(name: string): string {
    return join(this.temporary, name);
  }
}
