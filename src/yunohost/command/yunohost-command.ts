// The one place that runs `yunohost`: typed calls, grouped as the program groups them.
import { lstat } from 'node:fs/promises';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { AppCommands } from './app-commands.ts';
import { BackupCommands } from './backup-commands.ts';
import { DomainCommands } from './domain-commands.ts';
import type { HostPaths } from './host-paths.ts';
import { ServerCommands } from './server-commands.ts';
import { type CallOptions, type YunohostAnswer, type YunohostOptions, YunohostRunner } from './yunohost-runner.ts';

export const yunohostProgram = '/usr/bin/yunohost';

/** `yunohost` on one machine. Every call may throw YUNOHOST_FAILED, _BUSY, _TIMEOUT, _MISSING, DISK_FULL and its signal's reason. */
export class YunohostCommand {
  readonly backups: BackupCommands;
  readonly apps: AppCommands;
  readonly domains: DomainCommands;
  readonly server: ServerCommands;
  readonly #runner: YunohostRunner;

  constructor(options: YunohostOptions) {
    this.#runner = new YunohostRunner(options);
    this.backups = new BackupCommands(this.#runner);
    this.apps = new AppCommands(this.#runner);
    this.domains = new DomainCommands(this.#runner);
    this.server = new ServerCommands(this.#runner);
  }

  get paths(): HostPaths {
    return this.#runner.paths;
  }

  /** Whether the post-install was done. */
  async isInstalled(): Promise<boolean> {
    try {
      await lstat(this.paths.installedMark);
      return true;
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Any other command, its words without global options. */
  async run(words: readonly string[], options: CallOptions = {}): Promise<YunohostAnswer> {
    return await this.#runner.run(words, options);
  }
}
