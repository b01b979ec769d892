// A set of pack numbers that changes one number at a time, for the cache of what is present.
import { type PackRange, PackRanges } from '../format/pack-ranges.ts';

/** A changeable PackRanges. Appending the next number costs nothing; any other change costs one search and one shift. */
export class PackSet {
  readonly #ranges: { first: number; last: number }[];
  #frozen: PackRanges | undefined;

  constructor(ranges: PackRanges) {
    this.#ranges = ranges.ranges.map(({ first, last }: PackRange) => ({ first, last }));
    this.#frozen = ranges;
  }

  /** The position of the first range that ends at `number` or later. */
  #find(number: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.last ?? 0) < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  add(number: number): void {
    const at = this.#find(number);
    const next = this.#ranges[at];
    if (next !== undefined && next.first <= number) return;
    this.#frozen = undefined;
    const previous = this.#ranges[at - 1];
    const joinsPrevious = previous !== undefined && previous.last === number - 1;
    const joinsNext = next !== undefined && next.first === number + 1;
    if (joinsPrevious && joinsNext) {
      previous.last = next.last;
      this.#ranges.splice(at, 1);
    } else if (joinsPrevious) previous.last = number;
    else if (joinsNext) next.first = number;
    else this.#ranges.splice(at, 0, { first: number, last: number });
  }

  remove(number: number): void {
    const at = this.#find(number);
    const range = this.#ranges[at];
    if (range === undefined || range.first > number) return;
    this.#frozen = undefined;
    const parts = [
      { first: range.first, last: number - 1 },
      { first: number + 1, last: range.last },
    ].filter((part) => part.first <= part.last);
    this.#ranges.splice(at, 1, ...parts);
  }

  /** The set as it is now. */
  toRanges(): PackRanges {
    this.#frozen ??= PackRanges.from(this.#ranges.map(({ first, last }) => ({ first, last })));
    return this.#frozen;
  }
}
