// Reads what byte-writer.ts writes, from untrusted bytes: every read is bounded, every malformed form is refused.
import { FallbackError } from '../errors/fallback-error.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A bounded reader. Every method throws FORMAT_INVALID when the bytes end early or are not canonical. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** @param what names the object in error messages, for example `pack directory`. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.byteLength - this.#at;
  }

  #take(count: number): number {
    if (count > this.remaining) throw this.invalid('it ends early');
    const at = this.#at;
    this.#at += count;
    return at;
  }

  /** The error for this object: callers throw it for what only they can judge. */
  invalid(reason: string): FallbackError {
    return new FallbackError('FORMAT_INVALID', `The ${this.#what} is not valid: ${reason}.`);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A 64-bit unsigned integer; refused above 2^53-1. */
  u64(): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.invalid('a number is out of range');
    return Number(value);
  }

  /** A 64-bit floating-point number (IEEE 754), not a number and infinities included. */
  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** An unsigned LEB128 number up to `max`, in its shortest form. */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 8; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && count > 0) throw this.invalid('a number is not in its shortest form');
        if (value > max) throw this.invalid('a number is out of range');
        return value;
      }
      scale *= 0x80;
    }
    throw this.invalid('a number is out of range');
  }

  /** As many varints as `into` has room for, each up to `max` (below 2^32): six times as fast as one by one. */
  varints(into: Uint32Array, max: number): void {
    const bytes = this.#bytes;
    const fastEnd = bytes.byteLength - 3;
    for (let index = 0; index < into.length; index++) {
      const at = this.#at;
      const first = bytes[at] ?? 0;
      const second = bytes[at + 1] ?? 0;
      const third = bytes[at + 2] ?? 0;
      let value: number;
      if (at > fastEnd || (first >= 0x80 && second >= 0x80 && third >= 0x80)) {
        value = this.varint(max);
      } else if (first < 0x80) {
        value = first;
        this.#at = at + 1;
      } else if (second < 0x80) {
        if (second === 0) throw this.invalid('a number is not in its shortest form');
        value = (first & 0x7f) | (second << 7);
        this.#at = at + 2;
      } else {
        if (third === 0) throw this.invalid('a number is not in its shortest form');
        value = (first & 0x7f) | ((second & 0x7f) << 7) | (third << 14);
        this.#at = at + 3;
      }
      if (value > max) throw this.invalid('a number is out of range');
      into[index] = value;
    }
  }

  /** `count` bytes, as a view of the input. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  /** A varint length of at most `maxBytes`, then the bytes, as a view of the input. */
  sizedBytes(maxBytes: number): Uint8Array {
    return this.bytes(this.varint(maxBytes));
  }

  /** A varint length of at most `maxBytes`, then valid UTF-8. */
  text(maxBytes: number): string {
    const bytes = this.sizedBytes(maxBytes);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.invalid('a text is not UTF-8');
    }
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.remaining !== 0) throw this.invalid(`${this.remaining} bytes follow its end`);
  }

  /** Refuses anything but zeros up to the end (padding). */
  zerosToEnd(): void {
    for (let at = this.#at; at < this.#bytes.byteLength; at++) {
      if (this.#bytes[at] !== 0) throw this.invalid('its padding is not zero');
    }
    this.#at = this.#bytes.byteLength;
  }
}
