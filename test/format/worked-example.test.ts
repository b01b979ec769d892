// The hex of docs/FORMAT.md is what this program writes, and what other libraries open by the page alone.
import assert from 'node:assert/strict';
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { xchacha20poly1305 } from '@noble/ciphers/chacha.js';
import { toHex } from '../../src/bytes/hex.ts';
import { workedExample } from './worked-example.ts';

const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
const onPage = new Map(
  [...page.matchAll(/```hex ([a-z0-9-]+)\n([0-9a-f\s]+)```/g)].map(([, name = '', hex = '']) => [
    name,
    hex.replace(/\s/g, ''),
  ]),
);
const hex = (name: string): string => onPage.get(name) ?? assert.fail(`docs/FORMAT.md has no ${name}`);
const bytes = (name: string): Uint8Array => new Uint8Array(Buffer.from(hex(name), 'hex'));

test('the page shows exactly what this program writes', () => {
  const made = workedExample();
  assert.deepEqual([...onPage.keys()], [...made.keys()]);
  for (const [name, value] of made) assert.equal(hex(name), toHex(value), name);
});

test('by hand: HKDF, HMAC and XChaCha20-Poly1305 of other libraries open it', () => {
  const id = bytes('pack').slice(8, 24);
  const derived = (purpose: string): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', bytes('secret'), id, `fallback/v1/${purpose}`, 32));
  assert.equal(toHex(derived('chunk-id')), hex('chunk-id-key'));
  assert.equal(toHex(derived('pack')), hex('pack-key'));
  assert.equal(toHex(derived('snapshot')), hex('snapshot-key'));

  const opened = (key: Uint8Array, data: Uint8Array, sealed: Uint8Array): Uint8Array =>
    xchacha20poly1305(key, sealed.slice(0, 24), data).decrypt(sealed.slice(24));
  const pack = bytes('pack');
  const header = pack.slice(0, 40);
  const view = new DataView(header.buffer);
  const bodyAt = 40 + view.getUint32(32, true);
  const part = (number: number): Uint8Array => new Uint8Array([...header, number]);
  const directory = opened(derived('pack'), part(1), pack.slice(40, bodyAt));
  assert.equal(toHex(directory), hex('directory'));
  const body = opened(derived('pack'), part(2), pack.slice(bodyAt));
  assert.equal(pack.byteLength, bodyAt + view.getUint32(36, true));
  assert.deepEqual(body.slice(0, 17), bytes('contents'));
  const ids = [bytes('contents').slice(0, 7), bytes('contents').slice(7)].map((chunk) =>
    createHmac('sha256', derived('chunk-id')).update(chunk).digest('hex'),
  );
  assert.equal(toHex(directory.slice(5, 69)), ids.join(''));

  const snapshot = bytes('snapshot');
  const record = bytes('record');
  const headEnd = snapshot.byteLength - record.byteLength - 40;
  assert.deepEqual(opened(derived('snapshot'), snapshot.slice(0, headEnd), snapshot.slice(headEnd)), record);
  assert.equal(createHash('sha256').update(snapshot).digest('hex'), hex('snapshot-sha256'));
  assert.ok(hex('record').includes(hex('recipe')));
  assert.ok(hex('recipe').includes(createHash('sha256').update(bytes('contents')).digest('hex')));
});
