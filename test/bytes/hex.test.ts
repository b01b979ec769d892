import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes, fromHex, toHex } from '../../src/bytes/hex.ts';

test('hexadecimal comes back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.deepEqual(fromHex(toHex(bytes), bytes.byteLength), bytes);
    }),
  );
});

test('a view of a larger buffer gives its own bytes only', () => {
  const view = new Uint8Array([9, 1, 2, 9]).subarray(1, 3);
  assert.equal(toHex(view), '0102');
});

test('anything but lower-case digits of the right length is refused', () => {
  for (const text of ['', '0', '0102', 'AB', 'g0', ' 0', '0\n', '0x', 'ａ0', '0a\n']) {
    assert.equal(fromHex(text, 1), undefined, JSON.stringify(text));
  }
});

test('bytes from hexadecimal share their memory with nothing', () => {
  assert.equal(fromHex('0102', 2)?.buffer.byteLength, 2);
});

test('equal bytes', () => {
  assert.ok(equalBytes(new Uint8Array([1, 2]), Buffer.from([1, 2])));
  assert.ok(!equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 3])));
  assert.ok(!equalBytes(new Uint8Array([1, 2]), new Uint8Array([1, 2, 0])));
});
