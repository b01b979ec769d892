// How clients reach the server of a store: noted in its folder by `serve`, read by `invite`.
import { join } from 'node:path';
import { fromHex, toHex } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { readWholeFile } from '../fs/read-file.ts';
import { replaceFile } from '../fs/replace-file.ts';
import type { World } from './world.ts';

const fileName = 'address.json';
const fileBytesMax = 4096;

export interface NotedAddress {
  /** Undefined when `serve` was not told, and could not guess. */
  readonly host: string | undefined;
  readonly port: number;
  /** The pinned certificate's SHA-256; undefined behind a proxy or with a web certificate. */
  readonly certificateSha256: Uint8Array | undefined;
}

/** Notes the address, durably. */
export async function noteAddress(world: World, folder: string, address: NotedAddress): Promise<void> {
  const { host, port, certificateSha256 } = address;
  const text = JSON.stringify({
    format: 1,
    host,
    port,
    certificateSha256: certificateSha256 === undefined ? undefined : toHex(certificateSha256),
  });
  await replaceFile(world.fs, join(folder, fileName), Buffer.from(`${text}\n`), folder, toHex(world.randomBytes(8)));
}

/** What `serve` noted, or undefined when it never ran. @throws FORMAT_INVALID. */
export async function readNotedAddress(world: World, folder: string): Promise<NotedAddress | undefined> {
  const path = join(folder, fileName);
  if ((await world.fs.facts(path)) === undefined) return undefined;
  const invalid = (): FallbackError =>
    new FallbackError('FORMAT_INVALID', `${path} cannot be read.`, {
      hint: 'Start `fallback serve` again: it writes it anew.',
    });
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(await readWholeFile(world.fs, path, fileBytesMax)).toString('utf8'));
  } catch (error) {
    if (error instanceof SyntaxError) throw invalid();
    throw error;
  }
  if (typeof value !== 'object' || value === null) throw invalid();
  const fields: ReadonlyMap<string, unknown> = new Map(Object.entries(value));
  const [host, port, hash] = ['host', 'port', 'certificateSha256'].map((name) => fields.get(name));
  const certificateSha256 = typeof hash === 'string' ? fromHex(hash, 32) : undefined;
  const isValid =
    fields.get('format') === 1 &&
    (host === undefined || typeof host === 'string') &&
    typeof port === 'number' &&
    (hash === undefined || certificateSha256 !== undefined);
  if (!isValid) throw invalid();
  return { host, port, certificateSha256 };
}

/** A guess for a server that was not told its name: a full domain name, as YunoHost gives every server. */
export const guessHost = ({ hostName }: World): string | undefined =>
  /^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(hostName) && !/\.(local|localdomain|lan|internal)$/i.test(hostName)
    ? hostName
    : undefined;
