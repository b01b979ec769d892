// Tags of spans are Poly1305: noble's as the oracle.
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { test } from 'node:test';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import fc from 'fast-check';
import { SpanTagger } from '../../src/crypto/span-tag.ts';

test('a tag is ChaCha20-Poly1305’s of nothing, with the span as associated data, in however many pieces it comes', () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 5 });
  fc.assert(
    fc.property(key, fc.array(pieces, { minLength: 1, maxLength: 3 }), (raw, spans) => {
      const tagger = new SpanTagger(createSecretKey(raw));
      for (const span of spans) {
        for (const piece of span) tagger.update(piece);
        const sealed = chacha20poly1305(raw, new Uint8Array(12), new Uint8Array(Buffer.concat(span))).encrypt(
          new Uint8Array(0),
        );
        assert.deepEqual(new Uint8Array(tagger.end()), sealed);
      }
    }),
  );
});
