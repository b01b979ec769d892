// The Range header (RFC 9110, 14.2): one range of bytes; anything else is ignored, as the RFC allows.
import type { ByteSpan } from '../store/repository-store.ts';

/**
 * The span that the header asks for, `unsatisfiable`, or undefined when the whole object is to be sent.
 * @param sizeBytes the object's length.
 */
export function parseByteRange(header: string | undefined, sizeBytes: number): ByteSpan | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const suffix = Number(last);
    if (suffix === 0 || sizeBytes === 0) return 'unsatisfiable';
    return { start: Math.max(0, sizeBytes - suffix), end: sizeBytes };
  }
  const start = Number(first);
  const end = last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1);
  if (last !== '' && Number(last) < start) return undefined;
  return start >= sizeBytes ? 'unsatisfiable' : { start, end };
}
