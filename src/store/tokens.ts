// Who may do what. The store knows hashes only; a token in clear is seen for the time of one comparison.
import { timingSafeEqual } from 'node:crypto';
import { FallbackError } from '../errors/fallback-error.ts';
import { type RepositoryId, type Sha256Hex, sha256FromBytes } from '../format/ids.ts';
import type { MetadataRead, SmallObjectRecord } from './metadata-store.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { TokenRecord, TokenScope } from './repository-document.ts';
import { decodeTrailer, sha256Of, trailerBytes } from './stored-object.ts';

const tokensMax = 256;

/** What a token opens. */
export interface Access {
  readonly repositoryId: RepositoryId;
  readonly scopes: readonly TokenScope[];
  readonly label: string;
}

/** What the access token of a recovery phrase opens: key documents, and nothing else. */
export interface RecoveryAccess {
  readonly repositoryId: RepositoryId;
  /** All key documents with a slot for this phrase, ascending: whoever may push can add one whose slot opens nothing. */
  readonly keyDocumentNumbers: readonly number[];
  /** A newer key document has no slot for this phrase: it was replaced. */
  readonly superseded: boolean;
}

/** The hash under which a token is known. */
export function tokenSha256(token: Uint8Array): Sha256Hex {
  return sha256FromBytes(sha256Of(token));
}

/** The access that a token gives, or undefined. The hash is looked up, then compared in constant time. */
export async function findAccess(view: MetadataRead, token: Uint8Array): Promise<Access | undefined> {
  const sha256 = tokenSha256(token);
  const repositoryId = await view.findToken(sha256);
  const repository = repositoryId === undefined ? undefined : await view.repository(repositoryId);
  if (repository === undefined) return undefined;
  const { document } = repository;
  const record = document.tokens.find((one) => timingSafeEqual(Buffer.from(one.sha256), Buffer.from(sha256)));
  if (record === undefined) return undefined;
  return { repositoryId: document.repositoryId, scopes: record.scopes, label: record.label };
}

/** When a small object came; one whose time cannot be read counts as newer than all others. */
function receivedAtMs({ file }: SmallObjectRecord): number {
  try {
    return decodeTrailer(file.subarray(-trailerBytes)).receivedAtMs;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

/**
 * Repositories whose recovery phrase gives this access token: first the one that has had it longest, since everybody else can
 * only have copied it from there.
 */
export async function findRecoveryAccess(view: MetadataRead, token: Uint8Array): Promise<readonly RecoveryAccess[]> {
  const byRepository = Map.groupBy(await view.findRecovery(tokenSha256(token)), ({ repositoryId }) => repositoryId);
  const result: { readonly access: RecoveryAccess; readonly sinceMs: number }[] = [];
  for (const [repositoryId, found] of byRepository) {
    const keyDocumentNumbers = found.map(({ number }) => number);
    const all = (await view.smallObjects(repositoryId)).filter(({ kind }) => kind === 'key document');
    const superseded = (all.at(-1)?.number ?? 0) > (keyDocumentNumbers.at(-1) ?? 0);
    const sinceMs = Math.min(...all.filter(({ number }) => keyDocumentNumbers.includes(number)).map(receivedAtMs));
    result.push({ access: { repositoryId, keyDocumentNumbers, superseded }, sinceMs });
  }
  return result.sort((a, b) => a.sinceMs - b.sinceMs).map(({ access }) => access);
}

/** Lets another token in. @throws CONFLICT when it is known already, LIMIT_EXCEEDED. */
export async function addToken(context: RepositoryContext, token: TokenRecord): Promise<void> {
  await context.write(async (change) => {
    if ((await change.findToken(token.sha256)) !== undefined) {
      throw new FallbackError('CONFLICT', 'This token is known already.');
    }
    const { document } = await context.state(change);
    if (document.tokens.length >= tokensMax) {
      throw new FallbackError('LIMIT_EXCEEDED', `A repository has at most ${tokensMax} tokens.`);
    }
    await context.changeDocument(change, { tokens: [...document.tokens, token] });
    await change.addAudit({
      atMs: context.environment.nowMs(),
      repositoryId: context.id,
      event: 'token added',
      text: `${token.label} (${token.scopes.join(', ')})`,
    });
  });
}

/** Ends a token's access. @throws NOT_FOUND. */
export async function revokeToken(context: RepositoryContext, sha256: Sha256Hex): Promise<void> {
  await context.write(async (change) => {
    const { document } = await context.state(change);
    const tokens = document.tokens.filter((token) => token.sha256 !== sha256);
    if (tokens.length === document.tokens.length) throw new FallbackError('NOT_FOUND', 'There is no such token.');
    await context.changeDocument(change, { tokens });
    await change.addAudit({
      atMs: context.environment.nowMs(),
      repositoryId: context.id,
      event: 'token revoked',
      text: sha256.slice(0, 12),
    });
  });
}
