import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  decodeTarString,
  decodeTarText,
  endOfTarText,
  joinTarTexts,
  noTarText,
  withoutFinalSlashes,
} from '../../src/tar/tar-text.ts';

const utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
const isUtf8 = (bytes: Uint8Array): boolean => Buffer.from(utf8.decode(bytes)).equals(bytes);
/** ASCII, slashes, whole and broken letters of UTF-8 beside each other. */
const name = fc
  .array(fc.constantFrom('a', 'Z', '/', '/', 'é', '€', '😀', '\ufffd', '\xff', '\xc3', '\x80'), { maxLength: 12 })
  .map((parts) =>
    Buffer.concat(
      parts.map((part) => Buffer.from(part, part >= '\x80' && part <= '\xff' && part !== 'é' ? 'latin1' : 'utf8')),
    ),
  );
const whole = (bytes: Buffer) => decodeTarText(bytes, 0, bytes.byteLength);
/** What a file system is given. */
const given = ({ text, raw }: { text: string; raw: Uint8Array | undefined }) => Buffer.from(raw ?? Buffer.from(text));

test('a text is what a decoder of UTF-8 says, and its bytes can always be had back', () => {
  fc.assert(
    fc.property(name, fc.nat(5), (bytes, before) => {
      const around = Buffer.concat([Buffer.alloc(before, 0xff), bytes, Buffer.alloc(3, 0xc3)]);
      const read = decodeTarText(around, before, before + bytes.byteLength);
      assert.equal(read.text, utf8.decode(bytes));
      assert.equal(decodeTarString(around, before, before + bytes.byteLength), read.text);
      assert.deepEqual(given(read), bytes);
      if (!isUtf8(bytes)) assert.ok(read.raw !== undefined);
      // A copy: the window that it stood in is filled again.
      around.fill(0x41);
      assert.deepEqual(given(read), bytes);
    }),
  );
});

test('bytes are kept only where a text cannot give them back', () => {
  assert.equal(whole(Buffer.from('plain')).raw, undefined);
  assert.equal(whole(Buffer.from('größe')).raw, undefined);
  assert.deepEqual(
    whole(Buffer.from('gr\xf6\xdfe', 'latin1')).raw,
    new Uint8Array(Buffer.from('gr\xf6\xdfe', 'latin1')),
  );
  assert.equal(whole(Buffer.alloc(0)), noTarText);
});

test('names are joined and lose their final slashes as bytes do', () => {
  fc.assert(
    fc.property(name, name, (folder, file) => {
      const joined = joinTarTexts(whole(folder), whole(file));
      const bytes = Buffer.concat([folder, Buffer.from('/'), file]);
      assert.deepEqual([joined.text, given(joined)], [utf8.decode(bytes), bytes]);
      let end = bytes.byteLength;
      while (end > 1 && bytes[end - 1] === 0x2f) end--;
      const shorter = withoutFinalSlashes(joined);
      assert.deepEqual([shorter.text, given(shorter)], [utf8.decode(bytes.subarray(0, end)), bytes.subarray(0, end)]);
    }),
  );
  assert.equal(withoutFinalSlashes(whole(Buffer.from('//'))).text, '/');
  assert.equal(withoutFinalSlashes(whole(Buffer.from('///'))).text, '/');
});

test('a field ends at its first NUL or at its length', () => {
  const field = Buffer.from('ab\0c');
  assert.deepEqual([endOfTarText(field, 0, 4), endOfTarText(field, 0, 1), endOfTarText(field, 3, 1)], [2, 1, 4]);
});
