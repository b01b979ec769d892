// Tags of spans: Poly1305 (RFC 8439) under one fixed key, that of ChaCha20 with one fixed nonce. So it is no one-time authenticator but a
// keyed universal hash: two spans that were chosen without the key have one tag with probability 2^-89 up to 256 KiB, 2^-86 up to the
// longest, 2 MiB (8 L / 2^106 for L blocks of 16 bytes). That holds as long as nobody sees a tag in clear. GMAC would be a third faster
// on processors that have instructions for it, and ten times as slow on those of small boards that have none.
import { type CipherGCM, type CipherGCMTypes, createCipheriv, type KeyObject } from 'node:crypto';

export const spanTagBytes = 16;
const algorithm = 'chacha20-poly1305' as unknown as CipherGCMTypes;
const nonce = new Uint8Array(12);

/** Tags the spans of one archive, one after the other: 3.5 to 5 GB/s, where SHA-256 has 1.0 to 1.6. */
export class SpanTagger {
  readonly #key: KeyObject;
  #cipher: CipherGCM | undefined;

  /** @param key 32 bytes. */
  constructor(key: KeyObject) {
    this.#key = key;
  }

  #begin(): CipherGCM {
    return createCipheriv(algorithm, this.#key, nonce, { authTagLength: spanTagBytes });
  }

  /** Takes the next bytes of a span. */
  update(bytes: Uint8Array): void {
    this.#cipher ??= this.#begin();
    // Associated data is authenticated and not encrypted: Poly1305 is all that is done.
    this.#cipher.setAAD(bytes);
  }

  /** Ends the span. @returns its tag, 16 bytes. */
  end(): Uint8Array {
    const cipher = this.#cipher ?? this.#begin();
    this.#cipher = undefined;
    cipher.final();
    return cipher.getAuthTag();
  }
}
