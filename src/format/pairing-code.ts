// Pairing codes: what a new client needs to find a server, trust it, and be let in once. FORMAT.md, Pairing code.
import { createHash } from 'node:crypto';
import { base32nopad } from '@scure/base';
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { equalBytes } from '../bytes/hex.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { limits } from './limits.ts';

/** Where a server is and how it is recognised. */
export interface ServerAddress {
  /** A host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the server's certificate (DER). */
  readonly certificateSha256: Uint8Array;
}

export interface PairingCode extends ServerAddress {
  /** 16 random bytes, good for one pairing. */
  readonly oneTimeToken: Uint8Array;
}

const prefix = 'fallback1';
// A host is shown to people: nothing that could steer a terminal, and nothing that no address holds.
const isHost = (host: string): boolean => /^[0-9A-Za-z._:%-]+$/.test(host) && host.length <= limits.hostBytesMax;
const checksum = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest().subarray(0, 4);

/** Text of one word: `fallback1` and lower-case base32 of `token (16) | certificate SHA-256 (32) | u16 port | sized host | checksum (4)`. @throws USAGE for a host or port that is none. */
export function encodePairingCode(code: PairingCode): string {
  if (!isHost(code.host) || code.port === 0) {
    throw new FallbackError('USAGE', `Not an address that a client could reach: ${JSON.stringify(code.host)}.`);
  }
  const body = new ByteWriter(128)
    .bytes(code.oneTimeToken)
    .bytes(code.certificateSha256)
    .u16(code.port)
    .text(code.host)
    .finish();
  const whole = new Uint8Array([...body, ...checksum(body)]);
  return prefix + base32nopad.encode(whole).toLowerCase();
}

/** Reads a code as typed: upper or lower case, spaces ignored. @throws PAIRING_INVALID. */
export function decodePairingCode(text: string): PairingCode {
  const invalid = (why: string): FallbackError =>
    new FallbackError('PAIRING_INVALID', `This is not a valid pairing code: ${why}. Nothing was sent.`);
  if (text.length > limits.pairingCodeCharactersMax) throw invalid('it is too long');
  // Letters of other scripts have lower or upper cases in this one.
  if (!/^[\x20-\x7e\s]*$/.test(text)) throw invalid('a character is wrong');
  const word = text.replace(/\s+/g, '').toLowerCase();
  if (!word.startsWith(prefix)) throw invalid(`it does not begin with ${prefix}`);
  let whole: Uint8Array;
  try {
    whole = base32nopad.decode(word.slice(prefix.length).toUpperCase());
  } catch {
    throw invalid('a character is wrong');
  }
  if (whole.length < 56) throw invalid('it is cut short');
  const body = whole.subarray(0, -4);
  if (!equalBytes(checksum(body), whole.subarray(-4))) throw invalid('a character is wrong or missing');
  const reader = new ByteReader(body, 'pairing code');
  const oneTimeToken = new Uint8Array(reader.bytes(16));
  const certificateSha256 = new Uint8Array(reader.bytes(32));
  const port = reader.u16();
  const host = reader.text(limits.hostBytesMax);
  reader.end();
  if (port === 0 || !isHost(host)) throw invalid('it names no address');
  return { oneTimeToken, certificateSha256, port, host };
}
