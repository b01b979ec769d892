// Small archives as tests need them: SQL-like text, photos, tars.
import { randomBytes } from 'node:crypto';
import { buildTar } from '../../src/tar/tar-writer.ts';

/** Lines of an SQL dump; every line differs, and it compresses as dumps do. */
export function sqlText(lines: number, seed = 1): Uint8Array {
  const parts: string[] = [];
  for (let line = 0; line < lines; line++) {
    parts.push(`INSERT INTO t VALUES (${line}, ${(line * 7919 * seed) % 104_729}, 'row ${line * seed} of the table');`);
  }
  return new Uint8Array(Buffer.from(parts.join('\n')));
}

/** Incompressible bytes that begin like a JPEG file. */
export function photo(sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(randomBytes(sizeBytes));
  bytes.set([0xff, 0xd8, 0xff, 0xe0]);
  return bytes;
}

/** A tar of files, as Python's tarfile writes it. */
export function tarOf(files: Readonly<Record<string, Uint8Array>>, modifiedSeconds = 1_758_209_844.5): Uint8Array {
  const entries = Object.entries(files).map(([name, content]) => ({
    member: {
      name,
      type: 'file' as const,
      mode: 0o644,
      userId: 1000,
      groupId: 1000,
      userName: 'alice',
      groupName: 'alice',
      modifiedSeconds,
      sizeBytes: content.byteLength,
    },
    content,
  }));
  return buildTar(entries, 'pax');
}
