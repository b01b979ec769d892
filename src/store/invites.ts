// Pairing: an invite lets one new repository in, once. PROTOCOL.md, Pairing.
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { parseEpoch, type RepositoryId, type Sha256Hex, sha256FromBytes } from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import { type Environment, randomName } from './environment.ts';
import { readDocument } from './import-repository.ts';
import type { InviteRecord, MetadataRead, MetadataStore, MetadataWrite } from './metadata-store.ts';
import { configurationKey, documentKey, keyDocumentKey, packsPrefix, snapshotsPrefix } from './object-keys.ts';
import { isDamage } from './read-object.ts';
import type { RepositoryContext } from './repository-context.ts';
import { encodeRepositoryDocument, type RepositoryDocument } from './repository-document.ts';
import { checkSmallObject, publishSmallObject, recordSmallObject } from './small-objects.ts';
import { openStoredObject, sha256Of } from './stored-object.ts';
import { tokenSha256 } from './tokens.ts';

const oneTimeTokenBytes = 16;
const firstKeyDocument = 1;
/** A redeemed invite is remembered so long, so that a client whose reply was lost can ask again. */
const rememberMs = 7 * 24 * 60 * 60 * 1000;

/** What a new client brings. */
export interface RedeemRequest {
  readonly repositoryId: RepositoryId;
  readonly pushTokenSha256: Sha256Hex;
  readonly readTokenSha256: Sha256Hex;
  readonly configuration: Uint8Array;
  /** Key document number 1. */
  readonly keyDocument: Uint8Array;
}

/** Makes an invite. @param name the repository's name, for people. @returns the one-time token (16 bytes): the only copy. @throws LIMIT_EXCEEDED. */
export async function createInvite(
  metadata: MetadataStore,
  environment: Environment,
  name: string,
  lifetimeMs: number,
): Promise<Uint8Array> {
  const nameBytes = Buffer.byteLength(name);
  if (nameBytes === 0 || nameBytes > limits.repositoryNameBytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `A repository’s name has 1 to ${limits.repositoryNameBytesMax} bytes.`);
  }
  const token = environment.randomBytes(oneTimeTokenBytes);
  const nowMs = environment.nowMs();
  await metadata.write(async (change) => {
    await change.deleteInvites(nowMs - rememberMs);
    await change.putInvite({ sha256: tokenSha256(token), name, expiresAtMs: nowMs + lifetimeMs, redeemed: undefined });
    await change.addAudit({ atMs: nowMs, repositoryId: undefined, event: 'invite made', text: name });
  });
  return token;
}

function requestSha256(request: RedeemRequest): Sha256Hex {
  const parts = [
    Buffer.from(`${request.repositoryId} ${request.pushTokenSha256} ${request.readTokenSha256}`),
    sha256Of(request.configuration),
    sha256Of(request.keyDocument),
  ];
  return sha256FromBytes(sha256Of(...parts));
}

function refused(): FallbackError {
  return new FallbackError('PAIRING_INVALID', 'The pairing code is wrong, used or expired; nothing was changed.');
}

function newDocument(context: RepositoryContext, invite: InviteRecord, request: RedeemRequest): RepositoryDocument {
  const createdAtMs = context.environment.nowMs();
  return {
    repositoryId: request.repositoryId,
    name: invite.name,
    createdAtMs,
    serial: 1,
    generation: randomName(context.environment),
    epoch: parseEpoch(1),
    tokens: [
      { sha256: request.pushTokenSha256, scopes: ['read', 'push'], label: 'push', createdAtMs },
      { sha256: request.readTokenSha256, scopes: ['read'], label: 'read', createdAtMs },
    ],
    quotaBytes: null,
    retention: null,
    pins: [],
    reservedPacks: 0,
    healRevision: 1,
    head: null,
  };
}

const alreadyExists = (): FallbackError =>
  new FallbackError('ALREADY_EXISTS', 'The server has a repository with this id already.');

/**
 * Refuses a folder without records that may be somebody's repository all the same: its document is damaged and the database was
 * rebuilt, or packs and snapshots have outlived it. What this very pairing left, whose records were not committed, is let pass.
 */
async function requireUnused(context: RepositoryContext, request: RedeemRequest): Promise<void> {
  for (const prefix of [packsPrefix(context.id), snapshotsPrefix(context.id)]) {
    if ((await context.objects.list(prefix)).length > 0) throw alreadyExists();
  }
  if ((await context.objects.stat(documentKey(context.id))) === undefined) return;
  const document = await readDocument(context).catch((error: unknown) => {
    if (isDamage(error)) throw alreadyExists();
    throw error;
  });
  if (document.head !== null || !hasTokensOf(document, request)) throw alreadyExists();
}

function hasTokensOf({ tokens: [push, read] }: RepositoryDocument, request: RedeemRequest): boolean {
  return push?.sha256 === request.pushTokenSha256 && read?.sha256 === request.readTokenSha256;
}

/** The document goes last: a crash before it leaves a folder that is no repository, and that the next try clears. */
async function create(change: MetadataWrite, context: RepositoryContext, invite: InviteRecord, request: RedeemRequest) {
  for (const sha256 of [request.pushTokenSha256, request.readTokenSha256]) {
    if ((await change.findToken(sha256)) !== undefined) {
      throw new FallbackError('CONFLICT', 'A token of this pairing is in use already.');
    }
  }
  await requireUnused(context, request);
  await context.requireFreeSpace(limits.configurationBytesMax + limits.keyDocumentBytesMax);
  // Aside, not away: a key document may be the only one that opens something.
  for (const key of [configurationKey(context.id), keyDocumentKey(context.id, firstKeyDocument)]) {
    if ((await context.objects.stat(key)) !== undefined) await context.objects.quarantine(key, context.prefix);
  }
  const configuration = await publishSmallObject(context, 'configuration', 0, request.configuration);
  const keyDocument = await publishSmallObject(context, 'key document', firstKeyDocument, request.keyDocument);
  const document = newDocument(context, invite, request);
  await context.objects.replace(documentKey(context.id), encodeRepositoryDocument(document), context.prefix);
  await change.putRepository({ document, lastPack: 0, settledPack: 0 });
  await recordSmallObject(change, context, 'configuration', 0, configuration);
  await recordSmallObject(change, context, 'key document', firstKeyDocument, keyDocument);
}

/** Whether an existing repository is what this request once made, before a crash took the records of it. */
async function isOwnWork(change: MetadataWrite, context: RepositoryContext, request: RedeemRequest): Promise<boolean> {
  const { document } = await context.state(change);
  if (!hasTokensOf(document, request)) return false;
  const objects = await change.smallObjects(context.id);
  const same = (kind: 'configuration' | 'key document', number: number, bytes: Uint8Array): boolean => {
    const object = objects.find((one) => one.kind === kind && one.number === number);
    return object !== undefined && equalBytes(openStoredObject(object.file, kind).contents, bytes);
  };
  return same('configuration', 0, request.configuration) && same('key document', firstKeyDocument, request.keyDocument);
}

/** @throws PAIRING_INVALID for a token that no invite has, or had. */
export async function requireInvite(view: MetadataRead, token: Uint8Array): Promise<void> {
  if ((await view.invite(tokenSha256(token))) === undefined) throw refused();
}

/**
 * Makes the repository that an invite allows. The same request again is accepted again.
 * @throws PAIRING_INVALID, ALREADY_EXISTS (the id is another repository's), CONFLICT, SERVER_FULL, FORMAT_INVALID, LIMIT_EXCEEDED.
 */
export async function redeemInvite(
  context: RepositoryContext,
  token: Uint8Array,
  request: RedeemRequest,
): Promise<RepositoryId> {
  const requestHash = requestSha256(request);
  return await context.write(async (change) => {
    const invite = await change.invite(tokenSha256(token));
    if (invite === undefined) throw refused();
    if (invite.redeemed !== undefined) {
      if (invite.redeemed.requestSha256 === requestHash) return invite.redeemed.repositoryId;
      throw refused();
    }
    const nowMs = context.environment.nowMs();
    if (nowMs >= invite.expiresAtMs) throw refused();
    checkSmallObject(context, 'configuration', 0, request.configuration);
    checkSmallObject(context, 'key document', firstKeyDocument, request.keyDocument);
    if ((await change.repository(context.id)) === undefined) await create(change, context, invite, request);
    else if (!(await isOwnWork(change, context, request))) throw alreadyExists();
    await change.putInvite({ ...invite, redeemed: { repositoryId: context.id, requestSha256: requestHash } });
    await change.addAudit({ atMs: nowMs, repositoryId: context.id, event: 'invite redeemed', text: invite.name });
    return context.id;
  });
}
