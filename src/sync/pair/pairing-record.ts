// What init keeps from before its first word to the server until the recovery sheet was handed over: so that a pairing whose
// answer was lost is finished by the same command, with the same keys.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { equalBytes, fromHex, toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { parseRepositoryId, type RepositoryId } from '../../format/ids.ts';
import type { PairingCode } from '../../format/pairing-code.ts';
import { ensureFolder } from '../../fs/ensure-folder.ts';
import type { FileSystem } from '../../fs/file-system.ts';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import { readSecretFile } from '../../fs/read-secret-file.ts';
import { replaceFile } from '../../fs/replace-file.ts';

/** A pairing that was begun. Secret from end to end. */
export interface PairingRecord {
  /** SHA-256 of the code's one-time token: the record belongs to this code and no other. */
  readonly codeSha256: Uint8Array;
  readonly begunAtMs: number;
  readonly repositoryId: RepositoryId;
  readonly secret: Uint8Array;
  readonly pushToken: Uint8Array;
  /** The 16 bytes behind the recovery phrase. */
  readonly phraseEntropy: Uint8Array;
  /** The sealed configuration file. */
  readonly configuration: Uint8Array;
  /** Key document number 1. */
  readonly keyDocument: Uint8Array;
}

const fileName = 'pairing.json';

export const codeSha256 = (code: PairingCode): Uint8Array =>
  new Uint8Array(createHash('sha256').update(code.oneTimeToken).digest());

/** Keeps a record, durably. @throws DISK_FULL, IO. */
export async function savePairingRecord(
  fs: FileSystem,
  folder: string,
  record: PairingRecord,
  randomHex: string,
): Promise<void> {
  await ensureFolder(fs, folder);
  const text = JSON.stringify({
    format: 1,
    codeSha256: toHex(record.codeSha256),
    begunAtMs: record.begunAtMs,
    repositoryId: record.repositoryId,
    secret: toHex(record.secret),
    pushToken: toHex(record.pushToken),
    phraseEntropy: toHex(record.phraseEntropy),
    configuration: Buffer.from(record.configuration).toString('base64'),
    keyDocument: Buffer.from(record.keyDocument).toString('base64'),
  });
  await replaceFile(fs, join(folder, fileName), Buffer.from(`${text}\n`), folder, randomHex);
}

/** The record of this code, if one was begun. @throws FORMAT_INVALID, SECRET_FILE_UNSAFE. */
export async function loadPairingRecord(
  fs: FileSystem,
  folder: string,
  code: PairingCode,
): Promise<PairingRecord | undefined> {
  const path = join(folder, fileName);
  if ((await withFsErrors('look for a begun pairing', () => fs.facts(path))) === undefined) return undefined;
  const record = decode(Buffer.from(await readSecretFile(path)).toString('utf8'), path);
  return equalBytes(record.codeSha256, codeSha256(code)) ? record : undefined;
}

/** Removes the record: its phrase was handed over, or its code is no good. */
export async function removePairingRecord(fs: FileSystem, folder: string): Promise<void> {
  const path = join(folder, fileName);
  await withFsErrors('remove the record of the pairing', async () => {
    if ((await fs.facts(path)) === undefined) return;
    await fs.unlink(path);
    await fs.syncFolder(folder);
  });
}

function decode(text: string, path: string): PairingRecord {
  const invalid = (): FallbackError =>
    new FallbackError('FORMAT_INVALID', `The record of a begun pairing (${path}) cannot be read.`, {
      hint: 'Remove it and pair again with a new code from `fallback invite`.',
    });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw invalid();
  }
  if (typeof value !== 'object' || value === null) throw invalid();
  const fields: ReadonlyMap<string, unknown> = new Map(Object.entries(value));
  const textOf = (name: string): string => {
    const field = fields.get(name);
    if (typeof field !== 'string') throw invalid();
    return field;
  };
  const hex = (name: string, length: number): Uint8Array => {
    const bytes = fromHex(textOf(name), length);
    if (bytes === undefined) throw invalid();
    return bytes;
  };
  const begunAtMs = fields.get('begunAtMs');
  if (fields.get('format') !== 1 || typeof begunAtMs !== 'number') throw invalid();
  return {
    codeSha256: hex('codeSha256', 32),
    begunAtMs,
    repositoryId: parseRepositoryId(textOf('repositoryId')),
    secret: hex('secret', 32),
    pushToken: hex('pushToken', 32),
    phraseEntropy: hex('phraseEntropy', 16),
    configuration: new Uint8Array(Buffer.from(textOf('configuration'), 'base64')),
    keyDocument: new Uint8Array(Buffer.from(textOf('keyDocument'), 'base64')),
  };
}
