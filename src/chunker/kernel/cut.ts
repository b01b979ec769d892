// AssemblyScript, compiled by scripts/build-kernel.ts to ../kernel-wasm.ts. Its readable twin is test/chunker/twin.ts.
// FastCDC as of 2020 (Xia et al., "The Design of Fast Content-Defined Chunking", IEEE TPDS 31(9)) over a keyed table.

/** Two tables of 256 u64 each: the gear table, then the same with every entry shifted left by one. */
const SHIFTED_TABLE: usize = 2048;

/** The rolling hash, as one scan leaves it to the next. */
let hash: u64 = 0;

/**
 * Scans `[from, to)` two bytes a step for a place where the rolling hash has no bit of `mask`; returns the address behind
 * it, or 0. In the first half of a step the hash is kept shifted left by one,
 * which saves a shift in two; so no mask may use bit 63.
 */
// @ts-ignore: decorator
@inline
function scan(from: usize, to: usize, mask: u64, table: usize): usize {
  const shiftedMask = mask << 1;
  let at = from;
  let h = hash;
  while (at < to) {
    h = (h << 2) + load<u64>(table + ((<usize>load<u8>(at)) << 3), SHIFTED_TABLE);
    if (!(h & shiftedMask)) return at + 1;
    h += load<u64>(table + ((<usize>load<u8>(at, 1)) << 3));
    at += 2;
    if (!(h & mask)) return at;
  }
  hash = h;
  return 0;
}

/** The `bits` bits below bit 63. */
// @ts-ignore: decorator
@inline
function maskOf(bits: u32): u64 {
  return ((1 << <u64>bits) - 1) << (63 - <u64>bits);
}

/**
 * Cuts the bytes `[start, end)`: writes where each chunk ends, counted from `start`, as u32 to `ends`, at most `endsMax`
 * of them, and returns their number. With `isEnd` the last chunk ends at `end`; without, only cuts are made that more
 * bytes could not move. `minimum` is even, `average` a power of two, `minimum < average < maximum`.
 */
export function cut(
  start: usize,
  end: usize,
  minimum: usize,
  average: usize,
  maximum: usize,
  isEnd: bool,
  table: usize,
  ends: usize,
  endsMax: u32,
): u32 {
  const bits = <u32>ctz(average);
  const strictMask = maskOf(bits + 2);
  const easyMask = maskOf(bits - 2);
  let count: u32 = 0;
  let at = start;
  while (at < end && count < endsMax) {
    const left = end - at;
    let found: usize = 0;
    if (left > minimum) {
      const stop = at + min(left, maximum);
      const middle = at + min(left, average);
      hash = 0;
      const from = at + minimum;
      // An odd byte is left over only where the bytes or the chunk end, and there its hash decides nothing.
      const toMiddle = from + ((middle - from) & ~1);
      found = scan(from, toMiddle, strictMask, table);
      if (!found) found = scan(toMiddle, toMiddle + ((stop - toMiddle) & ~1), easyMask, table);
    }
    if (!found) {
      if (left >= maximum) found = at + maximum;
      else if (isEnd) found = end;
      else break;
    }
    at = found;
    store<u32>(ends + ((<usize>count) << 2), <u32>(at - start));
    count++;
  }
  return count;
}
