// Gives large buffers back at once: the garbage collector counts memory outside its heap late, and lets dead packs pile up.

/** Smaller ones may lie in Node's shared pool (8 KiB, or 64 in newer ones), and are left to the collector. */
const pooledBytesMax = 64 * 1024;

/**
 * Gives the memory behind `bytes` back; every view of it is empty afterwards. Only for its last owner, and only for memory that is
 * not shared between threads; what is small is left alone.
 */
export function freeBytes(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength > pooledBytesMax) buffer.transfer(0);
}

/** Whether the memory behind `bytes` can be handed to another thread: it is large, so no other buffer lies in it. */
export function isTransferable(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.buffer.byteLength > pooledBytesMax;
}
