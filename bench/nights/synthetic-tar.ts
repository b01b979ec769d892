// Archives of any length, made on the fly: half photos, half rows that compress, no byte twice. For measuring memory.
import { open as openFile } from 'node:fs/promises';
import { encodeTarEnd, encodeTarHeaders, tarPadding } from '../../src/tar/tar-writer.ts';
import { SeededRandom } from './random.ts';

const memberBytes = 8 * 1024 * 1024;

/** Rows like a dump's: base64 of random bytes behind words, about half their length when compressed. */
function rows(random: SeededRandom, lengthBytes: number): Buffer {
  const text = random.bytes(Math.ceil(lengthBytes * 0.52)).toString('base64');
  return Buffer.from(text.replace(/.{60}/g, "$&'),\n(42,'published','markdown','body: "), 'latin1').subarray(
    0,
    lengthBytes,
  );
}

/** Writes a tar of about `lengthBytes`. @param seed another one gives other bytes. */
export async function writeSyntheticTar(path: string, lengthBytes: number, seed: string): Promise<number> {
  const random = new SeededRandom(seed);
  const file = await openFile(path, 'w');
  let total = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    await file.write(bytes);
    total += bytes.byteLength;
  };
  try {
    for (let number = 0; total < lengthBytes; number++) {
      const isPhoto = number % 2 === 0;
      const contents = isPhoto ? random.bytes(memberBytes) : rows(random, memberBytes);
      if (isPhoto) contents.set([0xff, 0xd8, 0xff, 0xe0]);
      const name = isPhoto ? `uploads/${number}.jpg` : `dump/${number}.sql`;
      const member = { name, mode: 0o644, userId: 33, groupId: 33, userName: 'www-data', groupName: 'www-data' };
      const facts = { type: 'file', modifiedSeconds: 1_763_000_000 + number, sizeBytes: contents.length } as const;
      await write(encodeTarHeaders({ ...member, ...facts }, 'pax'));
      await write(contents);
      await write(new Uint8Array(tarPadding(contents.length)));
    }
    await write(encodeTarEnd(total));
  } finally {
    await file.close();
  }
  return total;
}
