// A store's folder, opened: repositories, invites, tokens, settings. One process opens it once; several may at a time.
import { join } from 'node:path';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import type { RepositoryId, Sha256Hex } from '../format/ids.ts';
import { acquireExclusiveLock, type ExclusiveLock } from '../fs/exclusive-lock.ts';
import type { Environment } from './environment.ts';
import { FolderRepository } from './folder-repository.ts';
import { createInvite, type RedeemRequest, redeemInvite, requireInvite } from './invites.ts';
import type { AuditEntry } from './metadata-store.ts';
import { RepositoryContext, type StoreParts } from './repository-context.ts';
import type { TokenRecord, TokenScope } from './repository-document.ts';
import { parseRetentionPolicy, type RetentionPolicy } from './retention-policy.ts';
import {
  type Access,
  addToken,
  findAccess,
  findRecoveryAccess,
  type RecoveryAccess,
  revokeToken,
  tokenSha256,
} from './tokens.ts';

/** What may be set for a repository on the server. */
export interface RepositorySettings {
  /** Undefined: no quota. */
  readonly quotaBytes: number | undefined;
  /** Undefined: the default policy. */
  readonly retention: RetentionPolicy | undefined;
}

/** An open store. open-store.ts makes it. */
export class Store {
  readonly folder: string;
  readonly storeId: string;
  readonly #parts: StoreParts;
  readonly #contexts = new Map<RepositoryId, RepositoryContext>();

  constructor(folder: string, storeId: string, parts: StoreParts) {
    this.folder = folder;
    this.storeId = storeId;
    this.#parts = parts;
  }

  get environment(): Environment {
    return this.#parts.environment;
  }

  #context(id: RepositoryId): RepositoryContext {
    const known = this.#contexts.get(id);
    if (known !== undefined) return known;
    const context = new RepositoryContext(this.#parts, id);
    this.#contexts.set(id, context);
    return context;
  }

  /** Ids of all repositories, ascending. */
  repositoryIds(): Promise<readonly RepositoryId[]> {
    return this.#parts.metadata.read((view) => view.repositoryIds());
  }

  /** @throws NOT_FOUND. */
  async repository(id: RepositoryId): Promise<FolderRepository> {
    const exists = await this.#parts.metadata.read((view) => view.repository(id));
    if (exists === undefined) throw new FallbackError('NOT_FOUND', `The store has no repository ${id}.`);
    return new FolderRepository(this.#context(id));
  }

  /** Makes an invite for one new repository; returns its one-time token (16 bytes). @throws LIMIT_EXCEEDED, STORE_LOCKED. */
  createInvite(name: string, lifetimeMs: number): Promise<Uint8Array> {
    return createInvite(this.#parts.metadata, this.#parts.environment, name, lifetimeMs);
  }

  /** @throws PAIRING_INVALID unless there is, or was, such an invite; redeeming it tells the rest. */
  async requireInvite(token: Uint8Array): Promise<void> {
    await this.#parts.metadata.read((view) => requireInvite(view, token));
  }

  /**
   * Makes the repository that an invite allows; the same request again is accepted again.
   * @throws PAIRING_INVALID, ALREADY_EXISTS, CONFLICT, SERVER_FULL, FORMAT_INVALID, LIMIT_EXCEEDED.
   */
  async redeemInvite(token: Uint8Array, request: RedeemRequest): Promise<RepositoryId> {
    // Kept only once the token has proved good: strangers must not fill the memory with ids.
    const context =
      this.#contexts.get(request.repositoryId) ?? new RepositoryContext(this.#parts, request.repositoryId);
    const id = await redeemInvite(context, token, request);
    this.#contexts.set(id, context);
    return id;
  }

  /** What a token opens, or undefined. */
  authenticate(token: Uint8Array): Promise<Access | undefined> {
    return this.#parts.metadata.read((view) => findAccess(view, token));
  }

  /** What the access token of a recovery phrase opens: usually one repository or none. */
  findRecovery(token: Uint8Array): Promise<readonly RecoveryAccess[]> {
    return this.#parts.metadata.read((view) => findRecoveryAccess(view, token));
  }

  /** @throws NOT_FOUND. */
  async tokens(id: RepositoryId): Promise<readonly TokenRecord[]> {
    const context = this.#context(id);
    return (await context.read((view) => context.state(view))).document.tokens;
  }

  /** @throws NOT_FOUND, CONFLICT, LIMIT_EXCEEDED. */
  async addToken(id: RepositoryId, token: Uint8Array, scopes: readonly TokenScope[], label: string): Promise<void> {
    const createdAtMs = this.#parts.environment.nowMs();
    await addToken(this.#context(id), { sha256: tokenSha256(token), scopes, label, createdAtMs });
  }

  /** @throws NOT_FOUND. */
  async revokeToken(id: RepositoryId, sha256: Sha256Hex): Promise<void> {
    await revokeToken(this.#context(id), sha256);
  }

  /** @throws NOT_FOUND. */
  async settings(id: RepositoryId): Promise<RepositorySettings> {
    const context = this.#context(id);
    const { document } = await context.read((view) => context.state(view));
    return { quotaBytes: document.quotaBytes ?? undefined, retention: document.retention ?? undefined };
  }

  /** @throws NOT_FOUND, CONFIG_INVALID, RETENTION_EMPTY. */
  async changeSettings(id: RepositoryId, settings: RepositorySettings): Promise<void> {
    const context = this.#context(id);
    const { quotaBytes } = settings;
    if (quotaBytes !== undefined && (!Number.isSafeInteger(quotaBytes) || quotaBytes < 0)) {
      throw new FallbackError('CONFIG_INVALID', 'The quota is not a whole number of bytes.');
    }
    const retention = settings.retention === undefined ? null : parseRetentionPolicy(settings.retention);
    // A stricter policy is how a full disk is freed.
    await context.ballast?.releaseWhenFull();
    await context.write((change) => context.changeDocument(change, { quotaBytes: quotaBytes ?? null, retention }));
  }

  /** The newest entries of the audit, newest first. */
  audit(count: number): Promise<readonly AuditEntry[]> {
    return this.#parts.metadata.read((view) => view.audit(count));
  }

  /** When the audit last noted one of these events of a repository. */
  lastAudit(id: RepositoryId, events: readonly string[]): Promise<number | undefined> {
    return this.#parts.metadata.read((view) => view.lastAudit(id, events));
  }

  /**
   * A lock on the folder that ends with this process: `serve` keeps a second server out, `maintenance` a second retention or scrub.
   * @throws STORE_LOCKED, naming the holder.
   */
  async lock(name: 'serve' | 'maintenance', purpose: string, waitMs = 0): Promise<ExclusiveLock> {
    const nowMs = (): number => this.#parts.environment.nowMs();
    const acquire = (): Promise<ExclusiveLock> =>
      acquireExclusiveLock(join(this.folder, `${name}.lock`), { purpose, nowMs, waitMs });
    try {
      return await acquire();
    } catch (error) {
      if (!isFallbackError(error, 'DISK_FULL') || !(await this.#parts.ballast?.release())) throw error;
      return await acquire();
    }
  }

  /** Ends the records' connections; what runs is finished first. */
  async close(): Promise<void> {
    try {
      await this.#parts.metadata.close();
    } catch (error) {
      if (!isFallbackError(error)) throw error;
    }
  }
}
