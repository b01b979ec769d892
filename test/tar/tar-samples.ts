// Members that the tests of this room and of the chunker start from.
import type { TarMember, TarMemberType } from '../../src/tar/tar-writer.ts';

/** An empty member with ordinary owner, mode and time. */
export function plainMember(name: string, type: TarMemberType = 'file'): TarMember {
  return {
    name,
    type,
    mode: type === 'directory' ? 0o755 : 0o644,
    userId: 1000,
    groupId: 1000,
    userName: 'ada',
    groupName: 'ada',
    modifiedSeconds: 1758209844,
    sizeBytes: 0,
  };
}

/** A copy of a 512-byte header (the first block of `header`) whose checksum is made right again. */
export function withChecksum(header: Uint8Array): Uint8Array {
  const block = Buffer.from(header);
  block.fill(0x20, 148, 156);
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0`, 148, 'latin1');
  return block;
}
