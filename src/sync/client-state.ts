// What a client keeps between runs, in a folder of its own (mode 0700): where the server is, its certificate, the tokens,
// the repository secret, what was seen last, and the caches of the index and of snapshots.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fromHex, toHex } from '../bytes/hex.ts';
import { FallbackError, isFallbackError } from '../errors/fallback-error.ts';
import { parseRepositoryId, type RepositoryId } from '../format/ids.ts';
import { ensureFolder } from '../fs/ensure-folder.ts';
import { acquireExclusiveLock, type ExclusiveLock } from '../fs/exclusive-lock.ts';
import type { FileSystem } from '../fs/file-system.ts';
import { withFsErrors } from '../fs/map-fs-error.ts';
import { readWholeFile } from '../fs/read-file.ts';
import { readSecretFile } from '../fs/read-secret-file.ts';
import { replaceFile } from '../fs/replace-file.ts';
import { decodeSeenHead, encodeSeenHead, type SeenHead } from './trust.ts';

/** Where a paired repository is reached. */
export interface ClientAddress {
  readonly host: string;
  readonly port: number;
  readonly repositoryId: RepositoryId;
  /** The repository's name on the server. */
  readonly name: string;
  /** SHA-256 of the pinned certificate, in hexadecimal; undefined behind a proxy with an ordinary web certificate. */
  readonly certificateSha256: string | undefined;
}

/** Everything that pairing or recovery gave. */
export interface ClientCredentials {
  readonly address: ClientAddress;
  /** The pinned certificate, PEM. */
  readonly certificate: string | undefined;
  /** 32 bytes; undefined on a machine that may only read. */
  readonly pushToken: Uint8Array | undefined;
  /** The repository secret, 32 bytes. */
  readonly secret: Uint8Array;
}

const fileBytesMax = 64 * 1024;

/** One client's folder. */
export class ClientState {
  readonly folder: string;
  readonly #fs: FileSystem;
  readonly #randomHex: () => string;

  /** @param randomHex new hexadecimal text for each call, for temporary names. */
  constructor(fs: FileSystem, folder: string, randomHex: () => string) {
    this.#fs = fs;
    this.folder = folder;
    this.#randomHex = randomHex;
  }

  get indexPath(): string {
    return join(this.folder, 'index');
  }

  get snapshotsPath(): string {
    return join(this.folder, 'snapshots');
  }

  get spoolPath(): string {
    return join(this.folder, 'heal-spool');
  }

  async isPaired(): Promise<boolean> {
    return (await this.#fs.facts(join(this.folder, 'client.json'))) !== undefined;
  }

  /** Keeps credentials; the address is written last, so that a half-written pairing counts as none. */
  async save(credentials: ClientCredentials): Promise<void> {
    await ensureFolder(this.#fs, this.folder);
    await this.#write('secret', `${toHex(credentials.secret)}\n`);
    if (credentials.pushToken !== undefined) await this.#write('push-token', `${toHex(credentials.pushToken)}\n`);
    if (credentials.certificate !== undefined) await this.#write('certificate.pem', credentials.certificate);
    await this.#write('client.json', `${JSON.stringify({ format: 1, ...credentials.address }, undefined, 2)}\n`);
  }

  /** @throws NO_REPOSITORY when this machine is not paired, FORMAT_INVALID, SECRET_FILE_UNSAFE. */
  async load(): Promise<ClientCredentials> {
    if (!(await this.isPaired())) {
      throw new FallbackError(
        'NO_REPOSITORY',
        `This machine is not paired with a fallback server (no client.json in ${this.folder}).`,
      );
    }
    const address = parseAddress(await this.#read('client.json'));
    const secret = await this.#readSecret('secret');
    if (secret === undefined) throw this.#invalid('secret');
    const certificate = address.certificateSha256 === undefined ? undefined : await this.#read('certificate.pem');
    return { address, certificate, pushToken: await this.#readSecret('push-token'), secret };
  }

  /** Forgets what it knows of packs and archives, but for the numbers that it has used: after this it believes what the store shows. @throws IO. */
  async forgetCaches(): Promise<void> {
    await withFsErrors('remove the cache of the index', async () => {
      for (const name of await readdir(this.folder)) {
        const isCache = name === 'index' || (name.startsWith('index.') && name !== 'index.numbers');
        if (isCache) await rm(join(this.folder, name), { recursive: true });
      }
    });
  }

  /** What this machine has seen last, or undefined. */
  async seenHead(): Promise<SeenHead | undefined> {
    if ((await this.#fs.facts(join(this.folder, 'trust.json'))) === undefined) return undefined;
    return decodeSeenHead(await this.#read('trust.json'));
  }

  async saveSeenHead(seen: SeenHead): Promise<void> {
    await this.#write('trust.json', encodeSeenHead(seen));
  }

  /** The lock that one push or deploy holds on this machine; it dies with the process. @throws BUSY. */
  async lock(purpose: string, nowMs: () => number): Promise<ExclusiveLock> {
    await ensureFolder(this.#fs, this.folder);
    try {
      return await acquireExclusiveLock(join(this.folder, 'lock'), { purpose, nowMs });
    } catch (error) {
      if (!isFallbackError(error, 'STORE_LOCKED')) throw error;
      throw new FallbackError(
        'BUSY',
        `Another run of fallback is under way on this machine${describeHolder(error.details, nowMs())}. Nothing was changed.`,
        { cause: error, hint: 'Wait until it ends, then run it again.', details: error.details },
      );
    }
  }

  async #write(name: string, text: string): Promise<void> {
    await replaceFile(this.#fs, join(this.folder, name), Buffer.from(text, 'utf8'), this.folder, this.#randomHex());
  }

  async #read(name: string): Promise<string> {
    return Buffer.from(await readWholeFile(this.#fs, join(this.folder, name), fileBytesMax)).toString('utf8');
  }

  async #readSecret(name: string): Promise<Uint8Array | undefined> {
    if ((await this.#fs.facts(join(this.folder, name))) === undefined) return undefined;
    const text = Buffer.from(await readSecretFile(join(this.folder, name))).toString('utf8');
    const bytes = fromHex(text.trim(), 32);
    if (bytes === undefined) throw this.#invalid(name);
    return bytes;
  }

  #invalid(name: string): FallbackError {
    return new FallbackError('FORMAT_INVALID', `The file ${join(this.folder, name)} is not valid.`, {
      hint: 'Pair this machine again, or recover it with the recovery sheet: fallback connect.',
    });
  }
}

/** `: push, for 3 minutes, process 4711`; empty when the holder did not say. */
function describeHolder(details: Readonly<Record<string, unknown>>, nowMs: number): string {
  const { purpose, processId, sinceMs } = details;
  if (typeof purpose !== 'string' || typeof processId !== 'number' || typeof sinceMs !== 'number') return '';
  const seconds = Math.max(0, Math.round((nowMs - sinceMs) / 1000));
  const minutes = Math.round(seconds / 60);
  const time = seconds < 120 ? `${seconds} ${seconds === 1 ? 'second' : 'seconds'}` : `${minutes} minutes`;
  return `: ${purpose}, for ${time}, process ${processId}`;
}

function parseAddress(text: string): ClientAddress {
  const invalid = new FallbackError('FORMAT_INVALID', 'client.json cannot be read.', {
    hint: 'Pair this machine again, or recover it with the recovery sheet: fallback connect.',
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid;
  }
  if (typeof value !== 'object' || value === null) throw invalid;
  const { format, host, port, repositoryId, name, certificateSha256 } = value as Record<string, unknown>;
  if (format !== 1 || typeof host !== 'string' || typeof port !== 'number' || typeof repositoryId !== 'string')
    throw invalid;
  return {
    host,
    port,
    repositoryId: parseRepositoryId(repositoryId),
    name: typeof name === 'string' ? name : '',
    certificateSha256: typeof certificateSha256 === 'string' ? certificateSha256 : undefined,
  };
}
