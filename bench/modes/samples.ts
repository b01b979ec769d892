// Bytes to measure with: text as dumps and code are, bytes that nothing shrinks, and a real tar.
import { readFileSync } from 'node:fs';
import { SeededRandom } from '../nights/random.ts';
import { collectFiles } from '../nights/real-files.ts';

/** Real text of this machine: sources and documentation, without repetition as far as it goes. */
export function textSample(bytes: number): Uint8Array {
  const parts: Buffer[] = [];
  let total = 0;
  for (const file of collectFiles('/usr/share', 4 * bytes + 200_000_000)) {
    if (total >= bytes) break;
    if (!/\.(md|txt|html|js|py|pl|css|xml|json|conf|h)$|README|copyright|NEWS/.test(file.name)) continue;
    const part = readFileSync(file.path);
    parts.push(part);
    total += part.length;
  }
  const text = Buffer.concat(parts).subarray(0, bytes);
  if (text.length === bytes) return new Uint8Array(text);
  // A small machine: the rest is rows of numbers.
  const random = new SeededRandom('text');
  const rows: string[] = [];
  for (let length = text.length; length < bytes; ) {
    const row = `INSERT INTO t VALUES (${random.integer(1e9)},'${random.integer(1e9).toString(36)} ${random.integer(1e9).toString(36)}');\n`;
    rows.push(row);
    length += row.length;
  }
  return new Uint8Array(Buffer.concat([text, Buffer.from(rows.join(''))]).subarray(0, bytes));
}

/** Bytes that nothing shrinks. */
export function randomSample(bytes: number): Uint8Array {
  return new Uint8Array(new SeededRandom('sample').bytes(bytes));
}
