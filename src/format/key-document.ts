// Key documents: slots that each wrap the repository secret. FORMAT.md, Key document.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { idBytes, type RepositoryId, repositoryIdFromBytes } from './ids.ts';
import { limits } from './limits.ts';
import { readMagic } from './read-magic.ts';

/** The cost of argon2id for a passphrase: memory in KiB, passes, lanes. */
export interface Argon2Cost {
  readonly memoryKiB: number;
  readonly passes: number;
  readonly lanes: number;
}

/** A sealed secret: 32 bytes of commitment to the wrapping key, a nonce of 24, the sealed secret of 48. */
export interface WrappedSecret {
  readonly commitment: Uint8Array;
  readonly nonce: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface PassphraseSlot {
  readonly type: 'passphrase';
  readonly cost: Argon2Cost;
  readonly salt: Uint8Array;
  readonly wrapped: WrappedSecret;
}

export interface PhraseSlot {
  readonly type: 'phrase';
  /** SHA-256 of the access token that the phrase gives: what lets a new machine fetch this document. */
  readonly accessTokenSha256: Uint8Array;
  readonly wrapped: WrappedSecret;
}

/** The secret itself, in a repository made with --no-encryption. */
export interface ClearSlot {
  readonly type: 'clear';
  readonly secret: Uint8Array;
}

export type KeySlot = PassphraseSlot | PhraseSlot | ClearSlot;

/** All slots in force. A change writes a new document with the next number; a server never replaces one. */
export interface KeyDocument {
  readonly repositoryId: RepositoryId;
  /** From 1. */
  readonly number: number;
  readonly slots: readonly KeySlot[];
}

/** Encodes `"FBKY" 1 | u8 slots | u16 zero | repository id (16) | u32 number`, then the slots. @throws FORMAT_INVALID, LIMIT_EXCEEDED for one that could not be read again. */
export function encodeKeyDocument(document: KeyDocument): Uint8Array {
  const writer = new ByteWriter(512)
    .bytes(Buffer.from('FBKY'))
    .u8(1)
    .u8(document.slots.length)
    .u16(0)
    .bytes(idBytes(document.repositoryId))
    .u32(document.number);
  for (const slot of document.slots) {
    writer.bytes(encodeSlotHead(slot));
    if (slot.type === 'clear') writer.bytes(slot.secret);
    else writer.bytes(slot.wrapped.commitment).bytes(slot.wrapped.nonce).bytes(slot.wrapped.sealed);
  }
  const bytes = writer.finish();
  decodeKeyDocument(bytes);
  return bytes;
}

/** A slot's type and parameters: bound to the wrapped secret as associated data. */
export function encodeSlotHead(
  slot: Omit<PassphraseSlot, 'wrapped'> | Omit<PhraseSlot, 'wrapped'> | ClearSlot,
): Uint8Array {
  const writer = new ByteWriter(48);
  switch (slot.type) {
    case 'passphrase':
      return writer.u8(1).u32(slot.cost.memoryKiB).u32(slot.cost.passes).u32(slot.cost.lanes).bytes(slot.salt).finish();
    case 'phrase':
      return writer.u8(2).bytes(slot.accessTokenSha256).finish();
    case 'clear':
      return writer.u8(3).finish();
  }
}

function readWrapped(reader: ByteReader): WrappedSecret {
  return {
    commitment: new Uint8Array(reader.bytes(32)),
    nonce: new Uint8Array(reader.bytes(24)),
    sealed: new Uint8Array(reader.bytes(48)),
  };
}

function readSlot(reader: ByteReader): KeySlot {
  const type = reader.u8();
  if (type === 1) {
    const cost: Argon2Cost = { memoryKiB: reader.u32(), passes: reader.u32(), lanes: reader.u32() };
    const withinLimits =
      cost.memoryKiB <= limits.argon2MemoryKiBMax &&
      cost.passes <= limits.argon2PassesMax &&
      cost.lanes <= limits.argon2LanesMax;
    if (!withinLimits || cost.lanes < 1 || cost.passes < 1 || cost.memoryKiB < cost.lanes * 8) {
      throw new FallbackError(
        'LIMIT_EXCEEDED',
        'A key slot asks for more memory or time than is allowed, or for none.',
      );
    }
    return { type: 'passphrase', cost, salt: new Uint8Array(reader.bytes(16)), wrapped: readWrapped(reader) };
  }
  if (type === 2)
    return { type: 'phrase', accessTokenSha256: new Uint8Array(reader.bytes(32)), wrapped: readWrapped(reader) };
  if (type === 3) return { type: 'clear', secret: new Uint8Array(reader.bytes(32)) };
  throw new FallbackError('FORMAT_UNSUPPORTED', 'The key document has a slot that this version does not know.');
}

/** Decodes a key document. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED, LIMIT_EXCEEDED. */
export function decodeKeyDocument(bytes: Uint8Array): KeyDocument {
  const reader = new ByteReader(bytes, 'key document');
  readMagic(reader, 'FBKY', 'key document');
  const count = reader.u8();
  if (count < 1 || count > limits.keySlotsMax || reader.u16() !== 0) throw reader.invalid('its head is not valid');
  const repositoryId = repositoryIdFromBytes(reader.bytes(16));
  const number = reader.u32();
  if (number < 1) throw reader.invalid('its number is out of range');
  const slots: KeySlot[] = [];
  for (let index = 0; index < count; index++) slots.push(readSlot(reader));
  reader.end();
  return { repositoryId, number, slots };
}
