// Key documents from the client's side: which one counts, what opens it, and how the next one is made.

import { isDeepStrictEqual } from 'node:util';
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { deriveRepositoryKeys, type RepositorySecret } from '../../crypto/key-hierarchy.ts';
import {
  defaultArgon2Cost,
  type KeyOffer,
  makePassphraseSlot,
  makePhraseSlot,
  openSecret,
} from '../../crypto/key-slots.ts';
import { openConfiguration } from '../../crypto/sealed-configuration.ts';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryId } from '../../format/ids.ts';
import {
  type Argon2Cost,
  decodeKeyDocument,
  encodeKeyDocument,
  type KeyDocument,
  type KeySlot,
  type PhraseSlot,
} from '../../format/key-document.ts';
import { limits } from '../../format/limits.ts';
import type { RepositoryReader, RepositoryWriter } from '../../store/repository-store.ts';

/** A key document as a store gave it: unverified until something opens it. */
export interface StoredKeyDocument {
  readonly number: number;
  readonly file: Uint8Array;
}

/**
 * The document to try: the newest, or the one that was asked for. Only one is tried, so that a replaced passphrase stays replaced.
 * @throws NOT_FOUND, FORMAT_INVALID, TRUST_REPOSITORY.
 */
export function chooseKeyDocument(
  documents: readonly StoredKeyDocument[],
  repositoryId: RepositoryId,
  wanted?: number,
): KeyDocument {
  const ascending = documents.toSorted((a, b) => a.number - b.number);
  const chosen = wanted === undefined ? ascending.at(-1) : ascending.find(({ number }) => number === wanted);
  if (chosen === undefined) {
    const there = ascending.map(({ number }) => number).join(', ');
    throw new FallbackError('NOT_FOUND', `The store has no key document${wanted === undefined ? '' : ` ${wanted}`}.`, {
      hint: there === '' ? 'The repository cannot be opened without one.' : `It has: ${there}.`,
    });
  }
  const document = decodeChosen(chosen, ascending);
  if (document.repositoryId !== repositoryId) {
    throw new FallbackError('TRUST_REPOSITORY', 'The store gave a key document of another repository.');
  }
  if (document.number !== chosen.number) {
    throw new FallbackError('FORMAT_INVALID', `The store gives key document ${document.number} as ${chosen.number}.`);
  }
  return document;
}

/** `--key-document 5 (or 4, 3)`: the newest of the others first. */
export function showOlder(numbers: readonly number[]): string {
  const [first, ...more] = numbers.toSorted((a, b) => b - a);
  return `--key-document ${first}${more.length === 0 ? '' : ` (or ${more.join(', ')})`}`;
}

/** A document that cannot be read must not hide the older ones. */
function decodeChosen(chosen: StoredKeyDocument, all: readonly StoredKeyDocument[]): KeyDocument {
  try {
    return decodeKeyDocument(chosen.file);
  } catch (error) {
    const older = all.map(({ number }) => number).filter((number) => number !== chosen.number);
    if (!isFallbackError(error) || older.length === 0) throw error;
    throw new FallbackError(error.code, `Key document ${chosen.number}: ${error.message}`, {
      hint: `An older one may open: ${showOlder(older)}.`,
      cause: error,
    });
  }
}

/**
 * Opens the secret with one document, and proves it on the configuration: a document that somebody else slipped in may open, but not to this.
 * @throws KEY_WRONG, with a hint to older documents when there are any.
 */
export function openSecretWith(
  documents: readonly StoredKeyDocument[],
  repositoryId: RepositoryId,
  configuration: Uint8Array,
  offer: KeyOffer,
  wanted?: number,
): RepositorySecret {
  const document = chooseKeyDocument(documents, repositoryId, wanted);
  const older = documents.map(({ number }) => number).filter((number) => number !== document.number);
  const hint =
    older.length === 0
      ? 'Check the spelling, and that it belongs to this repository.'
      : `Key document ${document.number} was tried. If the key was changed without your doing, an older one may open: ` +
        `${showOlder(older)}.`;
  try {
    const secret = openSecret([document], offer, repositoryId);
    openConfiguration(deriveRepositoryKeys(secret, repositoryId), configuration);
    return secret;
  } catch (error) {
    if (isFallbackError(error, 'KEY_WRONG')) {
      throw new FallbackError('KEY_WRONG', error.message, { cause: error, hint });
    }
    if (isFallbackError(error, 'SEAL_BROKEN') && older.length > 0) {
      throw new FallbackError('SEAL_BROKEN', error.message, { cause: error, hint });
    }
    throw error;
  }
}

/** All key documents of a repository. */
export async function readKeyDocuments(
  repository: RepositoryReader,
  which: 'all' | 'without damaged ones' = 'all',
): Promise<StoredKeyDocument[]> {
  const documents: StoredKeyDocument[] = [];
  for (const number of await repository.keyDocumentNumbers()) {
    try {
      documents.push({ number, file: await repository.keyDocument(number) });
    } catch (error) {
      if (which === 'all' || !isFallbackError(error, 'DAMAGED')) throw error;
    }
  }
  return documents;
}

const slotNames = { passphrase: 'passphrase', phrase: 'recovery phrase', clear: 'key in the clear' } as const;

/** A slot that stands in other documents too. */
export interface SharedSlot {
  readonly what: string;
  /** Of the other documents. */
  readonly numbers: readonly number[];
}

function slotsOf({ file }: StoredKeyDocument): readonly KeySlot[] {
  try {
    return decodeKeyDocument(file).slots;
  } catch (error) {
    if (isFallbackError(error)) return [];
    throw error;
  }
}

/** Which slots of a document others have as well: what was not changed is carried over to the next document as it is. */
export function sharedSlots(documents: readonly StoredKeyDocument[], number: number): SharedSlot[] {
  const one = documents.find((document) => document.number === number);
  if (one === undefined) return [];
  const others = documents.filter((document) => document !== one);
  return slotsOf(one).flatMap((slot) => {
    const numbers = others
      .filter((document) => slotsOf(document).some((other) => isDeepStrictEqual(other, slot)))
      .map((document) => document.number);
    return numbers.length === 0 ? [] : [{ what: slotNames[slot.type], numbers }];
  });
}

/** Opens a repository's secret with what a person offers. @throws KEY_WRONG, SEAL_BROKEN, network errors. */
export async function unlockRepository(
  repository: RepositoryReader,
  offer: KeyOffer,
  wanted?: number,
): Promise<RepositorySecret> {
  const documents = await readKeyDocuments(repository);
  return openSecretWith(documents, repository.repositoryId, await repository.configuration(), offer, wanted);
}

/** A short name of a recovery phrase, on its sheet and in `key show`; it tells nothing of the phrase. */
export const phraseLabel = (slot: PhraseSlot): string => toHex(slot.accessTokenSha256.subarray(0, 4));

/** What the next key document gets instead of the old slot of that kind. */
export interface KeyChange {
  /** A new passphrase; null takes the passphrase away. */
  readonly passphrase?: string | null;
  /** 16 bytes of a new recovery phrase. */
  readonly phraseEntropy?: Uint8Array;
  readonly argon2Cost?: Argon2Cost;
}

function nextSlots(
  document: KeyDocument,
  secret: RepositorySecret,
  change: KeyChange,
  randomBytes: (count: number) => Uint8Array,
): KeySlot[] {
  const { repositoryId } = document;
  const slots: KeySlot[] = [];
  const { passphrase, phraseEntropy } = change;
  const clear = document.slots.filter((slot) => slot.type === 'clear' && equalBytes(slot.secret, secret));
  slots.push(...clear);
  if (typeof passphrase === 'string') {
    const cost = change.argon2Cost ?? defaultArgon2Cost;
    slots.push(makePassphraseSlot(repositoryId, secret, passphrase, randomBytes, cost));
  } else if (passphrase === undefined) {
    slots.push(...document.slots.filter((slot) => slot.type === 'passphrase'));
  }
  if (phraseEntropy !== undefined) slots.push(makePhraseSlot(repositoryId, secret, phraseEntropy, randomBytes));
  else slots.push(...document.slots.filter((slot) => slot.type === 'phrase'));
  return slots;
}

/**
 * A slot of a phrase is copied from document to document, byte for byte. Two that answer to one phrase and differ: one of them is
 * forged, by whoever had a push token, and carrying that one over would shut the sheet's holder out. @throws SEAL_BROKEN.
 */
function requireOnePhrase(documents: readonly StoredKeyDocument[], newest: KeyDocument): void {
  const phrases = newest.slots.filter((slot) => slot.type === 'phrase');
  for (const document of documents) {
    const isForged = slotsOf(document).some(
      (slot) =>
        slot.type === 'phrase' &&
        phrases.some(
          (phrase) => equalBytes(phrase.accessTokenSha256, slot.accessTokenSha256) && !isDeepStrictEqual(phrase, slot),
        ),
    );
    if (!isForged) continue;
    throw new FallbackError(
      'SEAL_BROKEN',
      `Key documents ${document.number} and ${newest.number} have different slots for one recovery phrase: one of them is forged. Nothing was changed.`,
      {
        hint:
          'Try your recovery sheet with each (fallback connect --key-document NUMBER on another machine), then drop the one that it does not open on the ' +
          'fallback server (fallback repositories drop-key), and give this machine a new push token (fallback repositories grant).',
      },
    );
  }
}

/**
 * Adds a key document with the next number. Nothing is encrypted anew, and the older documents stay on the server: this
 * closes the door to those who come later, not to those who kept a copy.
 * @param beforeSent is called with the document before it is sent: what opens it must be in safe hands by then.
 * @returns the new document.
 * @throws CONFLICT when another machine changed the key meanwhile, LIMIT_EXCEEDED when there are too many, FORBIDDEN, USAGE.
 */
export async function changeKeys(
  repository: RepositoryWriter,
  secret: RepositorySecret,
  change: KeyChange,
  randomBytes: (count: number) => Uint8Array,
  beforeSent: (document: KeyDocument) => Promise<void> = async () => undefined,
): Promise<KeyDocument> {
  const documents = await readKeyDocuments(repository);
  const newest = chooseKeyDocument(documents, repository.repositoryId);
  if (change.phraseEntropy === undefined) requireOnePhrase(documents, newest);
  const slots = nextSlots(newest, secret, change, randomBytes);
  if (slots.length === 0) throw new FallbackError('USAGE', 'Nothing would open the repository any more.');
  if (documents.length >= limits.keyDocumentsMax) {
    throw new FallbackError('LIMIT_EXCEEDED', `A repository keeps at most ${limits.keyDocumentsMax} key documents.`, {
      hint: 'Drop old ones on the fallback server: fallback repositories drop-key NAME NUMBER (fallback key show lists them).',
    });
  }
  const document: KeyDocument = { repositoryId: repository.repositoryId, number: newest.number + 1, slots };
  const file = encodeKeyDocument(document);
  await beforeSent(document);
  await repository.putKeyDocument(document.number, file);
  if (!equalBytes(await repository.keyDocument(document.number), file)) {
    throw new FallbackError('VERIFY_FAILED', `The store gives another key document ${document.number} than was sent.`);
  }
  return document;
}
