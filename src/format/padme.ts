// Padmé (Nikitin et al., PETS 2019): pads a length so that only O(log log n) bits of it show, at most 12 % more.

/** The padded length for `lengthBytes`: at least as long, with the low bits of the length rounded up. */
export function padmeLength(lengthBytes: number): number {
  if (lengthBytes < 2) return lengthBytes;
  // Not log2: it rounds up for 2^49-1 and above.
  const exponent = lengthBytes.toString(2).length - 1;
  const significant = Math.floor(Math.log2(exponent)) + 1;
  const step = 2 ** Math.max(0, exponent - significant);
  return Math.ceil(lengthBytes / step) * step;
}
