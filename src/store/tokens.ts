// Who may do what. The store knows hashes only; a token in clear is seen for the time of one comparison.
import { timingSafeEqual } from 'node:crypto';
import { FallbackError } from '../errors/fallback-error.ts';
import { type RepositoryId, type Sha256Hex, sha256FromBytes } from '../format/ids.ts';
import type { MetadataRead } from './metadata-store.ts';
import type { RepositoryContext } from './repository-context.ts';
import type { TokenRecord, TokenScope } from './repository-document.ts';
import { sha256Of } from './stored-object.ts';

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
  /** The newest key document with a slot for this phrase. */
  readonly keyDocumentNumber: number;
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

/** Repositories whose recovery phrase gives this access token. */
export async function findRecoveryAccess(view: MetadataRead, token: Uint8Array): Promise<readonly RecoveryAccess[]> {
  const found = await view.findRecovery(tokenSha256(token));
  const newest = new Map<RepositoryId, number>();
  for (const { repositoryId, number } of found)
    newest.set(repositoryId, Math.max(number, newest.get(repositoryId) ?? 0));
  const result: RecoveryAccess[] = [];
  for (const [repositoryId, keyDocumentNumber] of newest) {
    const last = (await view.smallObjects(repositoryId)).filter((object) => object.kind === 'key document').at(-1);
    result.push({ repositoryId, keyDocumentNumber, superseded: (last?.number ?? 0) > keyDocumentNumber });
  }
  return result;
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
