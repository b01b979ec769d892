// Key slots: wrap the repository secret under a passphrase (argon2id, RFC 9106) or a recovery phrase. FORMAT.md, Key document.
import { argon2Sync, createHash, timingSafeEqual } from 'node:crypto';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { idBytes, type RepositoryId } from '../format/ids.ts';
import {
  type Argon2Cost,
  encodeSlotHead,
  type KeyDocument,
  type KeySlot,
  type PassphraseSlot,
  type PhraseSlot,
  type WrappedSecret,
} from '../format/key-document.ts';
import { deriveKey, type RepositorySecret } from './key-hierarchy.ts';
import { recoveryAccessToken, recoveryWrapKey } from './recovery-phrase.ts';
import { nonceBytes, open, type RandomBytes, seal } from './seal.ts';

/** RFC 9106's second recommendation: 64 MiB, three passes, four lanes; about 0.14 s. */
export const defaultArgon2Cost: Argon2Cost = { memoryKiB: 64 * 1024, passes: 3, lanes: 4 };

const slotData = (repositoryId: RepositoryId, slotHead: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.concat([Buffer.from('FBKY'), idBytes(repositoryId), slotHead]));

function passphraseKey(passphrase: string, salt: Uint8Array, cost: Argon2Cost): Uint8Array {
  return argon2Sync('argon2id', {
    message: Buffer.from(passphrase.normalize('NFKC'), 'utf8'),
    nonce: salt,
    parallelism: cost.lanes,
    memory: cost.memoryKiB,
    passes: cost.passes,
    tagLength: 32,
  });
}

// The commitment makes the slot open under one key only: without it, one sealed slot could be made that opens under many.
function wrap(
  wrapKey: Uint8Array,
  data: Uint8Array,
  secret: RepositorySecret,
  randomBytes: RandomBytes,
): WrappedSecret {
  const sealed = seal(deriveKey(wrapKey, data, 'slot-seal'), data, secret, randomBytes);
  return {
    commitment: deriveKey(wrapKey, data, 'slot-commitment'),
    nonce: sealed.slice(0, nonceBytes),
    sealed: sealed.slice(nonceBytes),
  };
}

function unwrap(wrapKey: Uint8Array, data: Uint8Array, wrapped: WrappedSecret): RepositorySecret | undefined {
  if (!timingSafeEqual(deriveKey(wrapKey, data, 'slot-commitment'), wrapped.commitment)) return undefined;
  const sealed = Buffer.concat([wrapped.nonce, wrapped.sealed]);
  return new Uint8Array(open(deriveKey(wrapKey, data, 'slot-seal'), data, sealed, 'key slot'));
}

/** A slot that does not open again (bad memory, a bug below) would lose the repository: it is tried before it is used. */
function verifySlot(repositoryId: RepositoryId, slot: KeySlot, offer: KeyOffer, secret: RepositorySecret): void {
  const opened = trySlot(repositoryId, slot, offer);
  if (opened !== undefined && equalBytes(opened, secret)) return;
  throw new FallbackError('VERIFY_FAILED', 'A fresh key slot does not open. It was not used.');
}

/** Wraps the secret under a passphrase. @throws VERIFY_FAILED. */
export function makePassphraseSlot(
  repositoryId: RepositoryId,
  secret: RepositorySecret,
  passphrase: string,
  randomBytes: RandomBytes,
  cost: Argon2Cost = defaultArgon2Cost,
): PassphraseSlot {
  const head = { type: 'passphrase', cost, salt: randomBytes(16) } as const;
  const data = slotData(repositoryId, encodeSlotHead(head));
  const slot = { ...head, wrapped: wrap(passphraseKey(passphrase, head.salt, cost), data, secret, randomBytes) };
  verifySlot(repositoryId, slot, { type: 'passphrase', passphrase }, secret);
  return slot;
}

/** Wraps the secret under a recovery phrase. @param entropy the phrase's 16 bytes. @throws VERIFY_FAILED. */
export function makePhraseSlot(
  repositoryId: RepositoryId,
  secret: RepositorySecret,
  entropy: Uint8Array,
  randomBytes: RandomBytes,
): PhraseSlot {
  const accessTokenSha256 = new Uint8Array(createHash('sha256').update(recoveryAccessToken(entropy)).digest());
  const head = { type: 'phrase', accessTokenSha256 } as const;
  const data = slotData(repositoryId, encodeSlotHead(head));
  const slot = { ...head, wrapped: wrap(recoveryWrapKey(entropy), data, secret, randomBytes) };
  verifySlot(repositoryId, slot, { type: 'phrase', entropy }, secret);
  return slot;
}

/** What a person or file offers to open a repository with. */
export type KeyOffer =
  | { readonly type: 'passphrase'; readonly passphrase: string }
  | { readonly type: 'phrase'; readonly entropy: Uint8Array }
  | { readonly type: 'none' };

function trySlot(repositoryId: RepositoryId, slot: KeySlot, offer: KeyOffer): RepositorySecret | undefined {
  // A clear slot never answers a passphrase or phrase: a hostile server could add one with a secret of its own making.
  if (slot.type === 'clear') return offer.type === 'none' ? slot.secret : undefined;
  if (slot.type !== offer.type) return undefined;
  const data = slotData(repositoryId, encodeSlotHead(slot));
  if (slot.type === 'passphrase' && offer.type === 'passphrase') {
    return unwrap(passphraseKey(offer.passphrase, slot.salt, slot.cost), data, slot.wrapped);
  }
  if (slot.type === 'phrase' && offer.type === 'phrase')
    return unwrap(recoveryWrapKey(offer.entropy), data, slot.wrapped);
  return undefined;
}

/**
 * Opens the secret with what is offered. A slot that is damaged, or asks for more memory than there is, is passed over.
 * @param documents newest first: an older one opens when a newer one was added by somebody else.
 * @param repositoryId when it is known: documents of another repository are passed over.
 * @throws KEY_WRONG when no slot opens; its cause is the first slot's failure, if one failed.
 */
export function openSecret(
  documents: readonly KeyDocument[],
  offer: KeyOffer,
  repositoryId?: RepositoryId,
): RepositorySecret {
  const failures: unknown[] = [];
  for (const document of documents) {
    if (repositoryId !== undefined && document.repositoryId !== repositoryId) continue;
    for (const slot of document.slots) {
      try {
        const secret = trySlot(document.repositoryId, slot, offer);
        if (secret !== undefined) return secret;
      } catch (error) {
        failures.push(error);
      }
    }
  }
  const what = {
    passphrase: 'This passphrase does not open the repository',
    phrase: 'This recovery phrase does not open the repository',
    none: 'The repository has no key in clear: it takes a passphrase or a recovery phrase',
  }[offer.type];
  throw new FallbackError('KEY_WRONG', `${what}. Nothing was changed.`, { cause: failures[0] });
}
