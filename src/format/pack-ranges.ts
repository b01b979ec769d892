// Sets of pack numbers as ascending ranges: what a snapshot needs, what a server holds, what is lost.
import type { ByteReader } from '../bytes/byte-reader.ts';
import type { ByteWriter } from '../bytes/byte-writer.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { limits } from './limits.ts';

/** Pack numbers `first` to `last`, both included. */
export interface PackRange {
  readonly first: number;
  readonly last: number;
}

function checkRange(first: number, last: number): void {
  if (Number.isSafeInteger(first) && Number.isSafeInteger(last) && first >= 1 && first <= last) return;
  throw new FallbackError('FORMAT_INVALID', `Not a range of pack numbers: ${first} to ${last}.`);
}

/** Joins ascending ranges that touch or overlap. */
function joined(ascending: Iterable<PackRange>): PackRange[] {
  const ranges: PackRange[] = [];
  let open: PackRange | undefined;
  for (const range of ascending) {
    if (open === undefined || range.first > open.last + 1) {
      if (open !== undefined) ranges.push(open);
      open = range;
    } else if (range.last > open.last) open = { first: open.first, last: range.last };
  }
  if (open !== undefined) ranges.push(open);
  return ranges;
}

/** Two ascending lists as one. */
function merged(a: readonly PackRange[], b: readonly PackRange[]): PackRange[] {
  const both: PackRange[] = [];
  let at = 0;
  for (const range of a) {
    for (let next = b[at]; next !== undefined && next.first < range.first; next = b[++at]) both.push(next);
    both.push(range);
  }
  return both.concat(at === 0 ? b : b.slice(at));
}

/** An immutable set of pack numbers, as ascending ranges that neither touch nor overlap. */
export class PackRanges {
  readonly ranges: readonly PackRange[];

  private constructor(ranges: readonly PackRange[]) {
    this.ranges = ranges;
  }

  static readonly empty = new PackRanges([]);

  /** From any ranges, in any order, overlapping or not. @throws FORMAT_INVALID when one is not `1 <= first <= last`. */
  static from(ranges: Iterable<PackRange>): PackRanges {
    const sorted = Array.from(ranges, ({ first, last }) => ({ first, last })).sort((a, b) => a.first - b.first);
    for (const { first, last } of sorted) checkRange(first, last);
    return new PackRanges(joined(sorted));
  }

  /** From ranges that are as they must be: their reader has checked them one by one. */
  static fromNormal(ranges: readonly PackRange[]): PackRanges {
    return new PackRanges(ranges);
  }

  /** From any numbers, in any order, repeated or not. */
  static fromNumbers(numbers: Iterable<number>): PackRanges {
    const sorted = Float64Array.from(numbers).sort();
    for (const number of sorted) checkRange(number, number);
    const ranges: { first: number; last: number }[] = [];
    for (const number of sorted) {
      const previous = ranges.at(-1);
      if (previous !== undefined && number <= previous.last + 1) previous.last = number;
      else ranges.push({ first: number, last: number });
    }
    return new PackRanges(ranges);
  }

  /** How many numbers the set holds. */
  get size(): number {
    let size = 0;
    for (const { first, last } of this.ranges) size += last - first + 1;
    return size;
  }

  get isEmpty(): boolean {
    return this.ranges.length === 0;
  }

  has(number: number): boolean {
    let low = 0;
    let high = this.ranges.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const range = this.ranges[middle];
      if (range === undefined || number < range.first) high = middle - 1;
      else if (number > range.last) low = middle + 1;
      else return true;
    }
    return false;
  }

  union(other: PackRanges): PackRanges {
    if (this.isEmpty) return other;
    if (other.isEmpty) return this;
    return new PackRanges(joined(merged(this.ranges, other.ranges)));
  }

  /** The numbers of this set that `other` lacks. */
  minus(other: PackRanges): PackRanges {
    const left: PackRange[] = [];
    let at = 0;
    for (const range of this.ranges) {
      let first = range.first;
      while (at < other.ranges.length && (other.ranges[at]?.last ?? 0) < first) at++;
      for (let next = at; next < other.ranges.length; next++) {
        const hole = other.ranges[next];
        if (hole === undefined || hole.first > range.last) break;
        if (hole.first > first) left.push({ first, last: hole.first - 1 });
        first = Math.max(first, hole.last + 1);
      }
      if (first <= range.last) left.push({ first, last: range.last });
    }
    return new PackRanges(left);
  }

  intersect(other: PackRanges): PackRanges {
    return this.minus(this.minus(other));
  }

  *numbers(): Generator<number> {
    for (const { first, last } of this.ranges) for (let number = first; number <= last; number++) yield number;
  }

  /** For people: `1-7, 9`, cut after `rangesMax` ranges. */
  toText(rangesMax = 8): string {
    const shown = this.ranges
      .slice(0, rangesMax)
      .map((r) => (r.first === r.last ? `${r.first}` : `${r.first}-${r.last}`));
    const more = this.ranges.length - shown.length;
    return shown.join(', ') + (more > 0 ? `, and ${more} more ranges` : '');
  }
}

/** Writes: varint count, then for each range varint (first - previous last - 1), varint (last - first). FORMAT.md, Pack ranges. */
export function writePackRanges(writer: ByteWriter, set: PackRanges): void {
  writer.varint(set.ranges.length);
  let previous = 0;
  for (const { first, last } of set.ranges) {
    writer.varint(first - previous - 1).varint(last - first);
    previous = last;
  }
}

/** Reads what writePackRanges wrote. @throws FORMAT_INVALID when it is not canonical or beyond the limits. */
export function readPackRanges(reader: ByteReader): PackRanges {
  const count = reader.varint(limits.packRangesMax);
  const ranges: PackRange[] = [];
  let previous = 0;
  for (let index = 0; index < count; index++) {
    const gap = reader.varint(limits.packNumberMax);
    if (index > 0 && gap === 0) throw reader.invalid('two pack ranges touch');
    const first = previous + gap + 1;
    const last = first + reader.varint(limits.packNumberMax);
    if (last > limits.packNumberMax) throw reader.invalid('a pack number is out of range');
    ranges.push({ first, last });
    previous = last;
  }
  return PackRanges.fromNormal(ranges);
}
