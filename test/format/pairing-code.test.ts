import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { base32nopad } from '@scure/base';
import fc from 'fast-check';
import { ByteWriter } from '../../src/bytes/byte-writer.ts';
import { decodePairingCode, encodePairingCode, type PairingCode } from '../../src/format/pairing-code.ts';
import { assertRefused } from '../bytes/tampering.ts';

const sample: PairingCode = {
  host: 'fallback.example.org',
  port: 7399,
  certificateSha256: new Uint8Array(32).map((_, index) => index * 7),
  oneTimeToken: new Uint8Array(16).map((_, index) => 255 - index),
};
const refused = (text: string, what = text): void =>
  assertRefused(() => decodePairingCode(text), ['PAIRING_INVALID'], what);

/** A code whose checksum is right, whatever it says. */
function forged(body: ByteWriter): string {
  const bytes = body.finish();
  const sum = createHash('sha256').update(bytes).digest().subarray(0, 4);
  return `fallback1${base32nopad.encode(new Uint8Array([...bytes, ...sum])).toLowerCase()}`;
}

test('codes come back, as printed and as typed', () => {
  const host = fc.oneof(fc.constantFrom('10.0.0.7', '::1', 'fe80::1%eth0', 'a'), fc.domain());
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      const code = { ...sample, host: name, port };
      const text = encodePairingCode(code);
      assert.match(text, /^fallback1[a-z2-7]+$/);
      assert.deepEqual(decodePairingCode(text), code);
      const typed = ` ${text.toUpperCase().replace(/(.{7})/g, '$1 \n\t')} `;
      assert.deepEqual(decodePairingCode(typed), code);
    }),
  );
});

test('every single character changed, lost, doubled or swapped with its neighbour is refused', () => {
  const text = encodePairingCode(sample);
  const others = [...'abcdefghijklmnopqrstuvwxyz0123456789-_/+=.é\u212a\u0131\u017f'];
  for (let at = 0; at < text.length; at++) {
    const before = text.slice(0, at);
    const after = text.slice(at + 1);
    for (const other of others) if (other !== text[at]) refused(before + other + after, `${at}: ${other}`);
    refused(before + after, `${at} lost`);
    refused(`${before}${text[at]}${text.slice(at)}`, `${at} doubled`);
    if (at > 0 && text[at] !== text[at - 1]) refused(`${text.slice(0, at - 1)}${text[at]}${text[at - 1]}${after}`);
  }
});

test('truncations, tails, and what is no code at all', () => {
  const text = encodePairingCode(sample);
  for (let length = 0; length < text.length; length++) refused(text.slice(0, length));
  for (const tail of ['a', 'aa', 'aaaaaaaa', '=', '!', '\u0000']) refused(text + tail);
  for (const bad of ['', 'fallback', 'fallback2abc', 'https://example.org', 'x'.repeat(5000)]) refused(bad);
});

test('a right checksum makes no code valid that names no address', () => {
  const body = (port: number, host: Uint8Array): ByteWriter =>
    new ByteWriter().bytes(sample.oneTimeToken).bytes(sample.certificateSha256).u16(port).sizedBytes(host);
  const text = (value: string): Uint8Array => Buffer.from(value);
  assert.equal(decodePairingCode(forged(body(1, text('a')))).host, 'a');
  const bad: [number, Uint8Array][] = [
    [0, text('a')],
    [1, text('')],
    [1, text('a b')],
    [1, text('a\u001b[2J')],
    [1, text('a/b')],
    [1, text('ä')],
    [1, new Uint8Array([0xff])],
    [1, text('a'.repeat(256))],
  ];
  for (const [port, host] of bad) {
    assertRefused(() => decodePairingCode(forged(body(port, host))), ['PAIRING_INVALID', 'FORMAT_INVALID']);
  }
  assertRefused(() => decodePairingCode(forged(body(1, text('a')).u8(0))), ['PAIRING_INVALID', 'FORMAT_INVALID']);
});

test('an address that no client could use is never printed', () => {
  for (const host of ['', 'a b', 'ä.example', 'x'.repeat(256), 'a\n']) {
    assertRefused(() => encodePairingCode({ ...sample, host }), ['USAGE']);
  }
  assertRefused(() => encodePairingCode({ ...sample, port: 0 }), ['USAGE']);
});
