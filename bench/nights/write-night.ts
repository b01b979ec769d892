// Writes a night's archives as Python's tarfile writes them for YunoHost: pax headers with fractional dates, data first,
// backup.csv and info.json after it, generated files last.
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeTarEnd, encodeTarHeaders, type TarMember, tarPadding } from '../../src/tar/tar-writer.ts';
import type { ModelArchive, ModelFile } from './server-model.ts';

type Write = (bytes: Uint8Array) => Promise<void>;

function memberOf(name: string, type: TarMember['type'], sizeBytes: number, modifiedSeconds: number): TarMember {
  const mode = type === 'directory' ? 0o755 : 0o644;
  return {
    name,
    type,
    mode,
    userId: 1000,
    groupId: 1000,
    userName: 'app',
    groupName: 'app',
    modifiedSeconds,
    sizeBytes,
  };
}

class NightTar {
  readonly #write: Write;
  readonly #folders = new Set<string>();
  #length = 0;

  constructor(write: Write) {
    this.#write = write;
  }

  async #put(bytes: Uint8Array): Promise<void> {
    this.#length += bytes.byteLength;
    await this.#write(bytes);
  }

  async #folder(path: string, modifiedSeconds: number): Promise<void> {
    if (path === '' || this.#folders.has(path)) return;
    await this.#folder(path.slice(0, Math.max(0, path.lastIndexOf('/'))), modifiedSeconds);
    this.#folders.add(path);
    await this.#put(encodeTarHeaders(memberOf(path, 'directory', 0, modifiedSeconds), 'pax'));
  }

  async add(file: ModelFile, folderSeconds: number): Promise<void> {
    await this.#folder(file.name.slice(0, Math.max(0, file.name.lastIndexOf('/'))), folderSeconds);
    const bytes = file.read();
    await this.#put(encodeTarHeaders(memberOf(file.name, 'file', bytes.byteLength, file.modifiedSeconds), 'pax'));
    await this.#put(bytes);
    await this.#put(new Uint8Array(tarPadding(bytes.byteLength)));
  }

  async end(): Promise<number> {
    await this.#put(encodeTarEnd(this.#length));
    return this.#length;
  }
}

async function writeArchive(archive: ModelArchive, path: string): Promise<number> {
  const stream = createWriteStream(path, { highWaterMark: 4 * 1024 * 1024 });
  const failed = new Promise<never>((_, reject) => stream.on('error', reject));
  const write: Write = async (bytes) => {
    if (!stream.write(bytes))
      await Promise.race([new Promise<void>((resolve) => stream.once('drain', resolve)), failed]);
  };
  const tar = new NightTar(write);
  for (const file of archive.files) await tar.add(file, 1_700_000_000.125);
  const now = archive.generated[0]?.modifiedSeconds ?? 0;
  const csv = archive.files.map((file) => `"/${file.name}","${file.name}"`).join('\r\n');
  const info = JSON.stringify({ created_at: now, from_yunohost_version: '12.1.25', apps: { [archive.name]: {} } });
  for (const [name, text] of [
    ['backup.csv', csv],
    ['info.json', info],
  ] as const) {
    const bytes = Buffer.from(text);
    await tar.add({ name, sizeBytes: bytes.byteLength, modifiedSeconds: now + 0.75, read: () => bytes }, now);
  }
  for (const file of archive.generated) await tar.add(file, now + 0.5);
  const length = await tar.end();
  await Promise.race([new Promise<void>((resolve) => stream.end(() => resolve())), failed]);
  return length;
}

/** Writes all archives of a night into `folder` (made when missing). @returns their length together, in bytes. */
export async function writeNight(archives: readonly ModelArchive[], folder: string): Promise<number> {
  await mkdir(folder, { recursive: true });
  let total = 0;
  for (const archive of archives) total += await writeArchive(archive, join(folder, `${archive.name}.tar`));
  return total;
}
