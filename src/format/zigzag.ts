// Zigzag: signed numbers as unsigned ones, small ones staying small. Arithmetic, not shifts: shifts end at 32 bits.

/** 0, -1, 1, -2, 2 … as 0, 1, 2, 3, 4 …; `value` from -2^52 to 2^52-1. */
export const zigzag = (value: number): number => (value < 0 ? -value * 2 - 1 : value * 2);

/** What zigzag was given; `value` from 0 to 2^53-1. */
export const unzigzag = (value: number): number => (value % 2 === 1 ? -(value + 1) / 2 : value / 2);
