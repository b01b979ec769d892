// Proves that an archive which YunoHost made can be read to its end, and is the one that was asked for.
import { createReadStream } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { isGzip } from '../../chunker/detect-gzip.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { systemErrorCode } from '../../fs/map-fs-error.ts';
import { TarReader } from '../../tar/tar-reader.ts';
import type { HostPaths } from '../command/host-paths.ts';
import { isObject, numberOr, textOr } from '../command/shape.ts';

/** What info.json says. */
export interface InsideInfo {
  readonly fromYunohostVersion: string;
  /** Sum of the sources, in bytes: about what a restore extracts. */
  readonly sizeBytes: number;
  readonly systemParts: readonly string[];
  readonly apps: ReadonlyMap<string, { readonly version: string; readonly name: string }>;
}

export interface ProvenArchive {
  /** The file itself, links resolved. */
  readonly path: string;
  /** Of the tar, unpacked, in bytes. */
  readonly tarBytes: number;
  readonly members: number;
  readonly info: InsideInfo;
}

const infoBytesMax = 16 * 1024 * 1024;

const unreadable = (what: string, cause?: unknown): FallbackError =>
  new FallbackError('ARCHIVE_UNREADABLE', what, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'The last good archive is kept. Look at the disk, then push again.',
  });

/** Takes info.json apart. @throws ARCHIVE_UNREADABLE. */
export function parseInfo(text: string, name: string): InsideInfo {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw unreadable(`The info.json of ${name} is no JSON.`, cause);
  }
  if (!isObject(json)) throw unreadable(`The info.json of ${name} holds nothing.`);
  const apps = isObject(json['apps']) ? json['apps'] : {};
  return {
    fromYunohostVersion: textOr(json['from_yunohost_version'], ''),
    sizeBytes: numberOr(json['size'], 0),
    systemParts: Object.keys(isObject(json['system']) ? json['system'] : {}),
    apps: new Map(
      Object.entries(apps).map(([id, value]) => {
        const app = isObject(value) ? value : {};
        return [id, { version: textOr(app['version'], ''), name: textOr(app['name'], id) }];
      }),
    ),
  };
}

/** NAME.tar, or NAME.tar.gz when YunoHost compresses and made no link. */
async function findArchive(paths: HostPaths, name: string): Promise<string> {
  for (const path of [paths.archive(name), `${paths.archive(name)}.gz`]) {
    try {
      const real = await realpath(path);
      if ((await lstat(real)).isFile()) return real;
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error;
    }
  }
  throw unreadable(`YunoHost reported success, but there is no archive ${name} in ${paths.archives}.`);
}

async function startsGzipped(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const first = new Uint8Array(16);
    const { bytesRead } = await file.read(first, 0, first.byteLength, 0);
    return isGzip(first.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

/** Collects info.json while a tar passes. */
class InfoCollector {
  readonly parts: Buffer[] = [];
  members = 0;
  isFound = false;
  #isInside = false;

  readonly listener = {
    onEntry: ({ name, sizeBytes }: { readonly name: string; readonly sizeBytes: number }): void => {
      this.members++;
      this.#isInside = !this.isFound && (name === 'info.json' || name === './info.json') && sizeBytes <= infoBytesMax;
      if (this.#isInside) this.isFound = true;
    },
    onContent: (bytes: Uint8Array): void => {
      if (this.#isInside) this.parts.push(Buffer.from(bytes));
    },
  };
}

/**
 * Reads an archive of YunoHost's folder from start to end.
 * @throws ARCHIVE_UNREADABLE when it is missing, cut short, no tar, or without a valid info.json; the signal's reason.
 */
export async function proveArchive(paths: HostPaths, name: string, signal?: AbortSignal): Promise<ProvenArchive> {
  const path = await findArchive(paths, name);
  const collector = new InfoCollector();
  const reader = new TarReader(collector.listener);
  const take = async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const bytes of source) reader.push(bytes);
  };
  const file = createReadStream(path, { highWaterMark: 1024 * 1024 });
  const options = signal === undefined ? {} : { signal };
  try {
    if (await startsGzipped(path)) await pipeline(file, createGunzip({ chunkSize: 256 * 1024 }), take, options);
    else await pipeline(file, take, options);
  } catch (error) {
    signal?.throwIfAborted();
    throw unreadable(`The archive ${name} cannot be read: ${error instanceof Error ? error.message : ''}.`, error);
  }
  if (reader.state !== 'ended')
    throw unreadable(`The archive ${name} is cut short: it ends after ${reader.offset} bytes.`);
  if (!collector.isFound) throw unreadable(`The archive ${name} has no info.json: YunoHost could not restore it.`);
  const info = parseInfo(Buffer.concat(collector.parts).toString('utf8'), name);
  return { path, tarBytes: reader.offset, members: collector.members, info };
}
