// What a night needs of the world, and what it tells while it runs.
import type { Epoch } from '../../format/ids.ts';
import type { SnapshotArchive } from '../../format/snapshot.ts';
import type { RepositoryWriter } from '../../store/repository-store.ts';
import type { PushCounters } from '../../sync/push/push-counters.ts';
import type { RepositorySession } from '../../sync/repository-session.ts';
import type { YunohostCommand } from '../command/yunohost-command.ts';
import type { Configuration } from '../configuration/schema.ts';
import type { AccountNames } from '../stream/account-names.ts';

/** What happens, for a progress line and the log. */
export type NightEvent =
  | { readonly step: 'cleaned'; readonly paths: readonly string[]; readonly orphans: number }
  | { readonly step: 'covered'; readonly targets: readonly string[] }
  | { readonly step: 'making' | 'pushing' | 'saved'; readonly name: string }
  | { readonly step: 'failed'; readonly name: string; readonly reason: string }
  | { readonly step: 'again'; readonly name: string };

export interface NightContext {
  readonly session: RepositorySession<RepositoryWriter>;
  readonly yunohost: YunohostCommand;
  readonly configuration: Configuration;
  /** The client's folder, its lock held by the caller. */
  readonly state: { readonly folder: string; readonly indexPath: string; readonly spoolPath: string };
  readonly epoch: Epoch;
  readonly counters: PushCounters;
  /** Bytes free at a path. */
  freeBytes(path: string): Promise<number>;
  /** Names of users and groups, asked when an archive is streamed. */
  accounts(): Promise<AccountNames>;
  /** Minutes since local midnight. */
  localMinute(): number;
  monotonicMs(): number;
  /** Started by the timer: the time window holds. */
  readonly isScheduled: boolean;
  readonly signal?: AbortSignal | undefined;
  onEvent?(event: NightEvent): void;
}

/** Everything that one archive's making needs beside the context. */
export interface MakeRequest {
  readonly context: NightContext;
  /** The last good archive of the same name. */
  readonly previous: SnapshotArchive | undefined;
}
