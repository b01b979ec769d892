// Writes little-endian integers, varints and byte strings into one growing buffer.
import { FallbackError } from '../errors/fallback-error.ts';

/** A growing buffer. Integers are little-endian; a varint is unsigned LEB128 (canonical: no needless last byte). */
export class ByteWriter {
  #buffer: Buffer;
  #length = 0;

  constructor(capacityBytes = 256) {
    // Buffer.alloc never takes from Node's shared pool: what leaves here shares its memory with nothing else.
    this.#buffer = Buffer.alloc(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  #reserve(count: number): number {
    const at = this.#length;
    if (at + count > this.#buffer.length) {
      const grown = Buffer.alloc(Math.max(this.#buffer.length * 2, at + count));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    this.#length = at + count;
    return at;
  }

  u8(value: number): this {
    const at = this.#reserve(1);
    this.#buffer.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#reserve(2);
    this.#buffer.writeUInt16LE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#reserve(4);
    this.#buffer.writeUInt32LE(value, at);
    return this;
  }

  /** A 64-bit unsigned integer from a safe JavaScript integer. */
  u64(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned safe integer: ${value}`);
    const at = this.#reserve(8);
    this.#buffer.writeBigUInt64LE(BigInt(value), at);
    return this;
  }

  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned safe integer: ${value}`);
    let rest = value;
    while (rest >= 0x80) {
      this.u8((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    return this.u8(rest);
  }

  /** A 64-bit floating-point number (IEEE 754). */
  f64(value: number): this {
    const at = this.#reserve(8);
    this.#buffer.writeDoubleLE(value, at);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#reserve(value.byteLength);
    this.#buffer.set(value, at);
    return this;
  }

  /** A varint length, then the bytes. */
  sizedBytes(value: Uint8Array): this {
    return this.varint(value.byteLength).bytes(value);
  }

  /**
   * A varint length in bytes, then UTF-8.
   * @throws LIMIT_EXCEEDED beyond `maxBytes`, FORMAT_INVALID for a lone surrogate, which UTF-8 cannot hold.
   */
  text(value: string, maxBytes = Number.MAX_SAFE_INTEGER): this {
    const length = Buffer.byteLength(value);
    if (length > maxBytes) {
      const shown = JSON.stringify(value.slice(0, 40));
      throw new FallbackError('LIMIT_EXCEEDED', `A text is longer than ${maxBytes} bytes: ${shown}…`);
    }
    if (!value.isWellFormed()) throw new FallbackError('FORMAT_INVALID', 'A text is not valid Unicode.');
    const at = this.varint(length).#reserve(length);
    this.#buffer.write(value, at);
    return this;
  }

  zeros(count: number): this {
    const at = this.#reserve(count);
    this.#buffer.fill(0, at, at + count);
    return this;
  }

  /** What was written, without a copy: valid until the next write. */
  finish(): Uint8Array {
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset, this.#length);
  }
}
