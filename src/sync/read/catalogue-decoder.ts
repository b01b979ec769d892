// Decodes a catalogue that comes in pieces: finds where its records end, and leaves judging them to format/catalogue.ts.
import { FallbackError } from '../../errors/fallback-error.ts';
import { CatalogueEncoder, type CatalogueMember, decodeCatalogue } from '../../format/catalogue.ts';
import { limits } from '../../format/limits.ts';

const sameOwnerFlag = 0x10;
const hasLinkFlag = 0x20;
const hasGapFlag = 0x40;
const fractionFlag = 0x80;
const pieceBytes = 256 * 1024;

/** Steps over a record's fields; a record that is not there to its end has no end. */
class RecordScanner {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; this.#at < this.#bytes.byteLength; scale *= 0x80) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    this.#at = Number.POSITIVE_INFINITY;
    return 0;
  }

  #skip(bytes: number): void {
    this.#at += bytes;
  }

  /** Where the record that begins at `start` ends, or undefined when it is not all there. */
  endOf(start: number): number | undefined {
    this.#at = start;
    if (start >= this.#bytes.byteLength) return undefined;
    const flags = this.#bytes[this.#at++] ?? 0;
    this.#skip(this.#varint());
    const numbers = (flags & hasGapFlag) === 0 ? 3 : 4;
    for (let count = 0; count < numbers; count++) this.#varint();
    if ((flags & sameOwnerFlag) === 0) {
      this.#varint();
      this.#varint();
      this.#skip(this.#varint());
      this.#skip(this.#varint());
    }
    if ((flags & fractionFlag) === 0) this.#varint();
    else this.#skip(8);
    if ((flags & hasLinkFlag) !== 0) this.#skip(this.#varint());
    return this.#at <= this.#bytes.byteLength ? this.#at : undefined;
  }
}

/** A record that brings a decoder to where the last member ended, with its owner. */
function resumeRecord(last: CatalogueMember): Uint8Array {
  const end = last.headerOffset + last.headerBytes + Math.ceil(last.sizeBytes / 512) * 512;
  const encoder = new CatalogueEncoder();
  encoder.add({ ...last, name: '', headerOffset: 0, headerBytes: end, sizeBytes: 0, linkName: '' });
  return encoder.take();
}

/** Decodes a catalogue piece by piece; memory is bounded by a piece and the longest record. */
export class CatalogueDecoder {
  #pending = new Uint8Array(0);
  #last: CatalogueMember | undefined;

  /** The members that are complete after the next bytes. @throws FORMAT_INVALID. */
  *push(bytes: Uint8Array): Generator<CatalogueMember> {
    for (let at = 0; at < bytes.byteLength; at += pieceBytes) {
      const piece = bytes.subarray(at, at + pieceBytes);
      const joined = new Uint8Array(this.#pending.byteLength + piece.byteLength);
      joined.set(this.#pending);
      joined.set(piece, this.#pending.byteLength);
      const scanner = new RecordScanner(joined);
      let end = 0;
      for (let next = scanner.endOf(0); next !== undefined; next = scanner.endOf(next)) end = next;
      yield* this.#decode(joined.subarray(0, end));
      this.#pending = joined.subarray(end);
      if (this.#pending.byteLength > limits.memberRecordBytesMax) throw invalid('a member’s record is too long');
    }
  }

  /** To be called when all bytes came. @throws FORMAT_INVALID when the last record is cut off. */
  finish(): void {
    if (this.#pending.byteLength > 0) throw invalid('it ends early');
  }

  *#decode(records: Uint8Array): Generator<CatalogueMember> {
    if (records.byteLength === 0) return;
    const last = this.#last;
    if (last === undefined) {
      for (const member of decodeCatalogue(records)) yield this.#keep(member);
      return;
    }
    let isResume = true;
    for (const member of decodeCatalogue(Buffer.concat([resumeRecord(last), records]))) {
      if (!isResume) yield this.#keep(member);
      isResume = false;
    }
  }

  #keep(member: CatalogueMember): CatalogueMember {
    this.#last = member;
    return member;
  }
}

function invalid(reason: string): FallbackError {
  return new FallbackError('FORMAT_INVALID', `The catalogue is not valid: ${reason}.`);
}
