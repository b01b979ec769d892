// Reads archives as Python’s tarfile does, tolerances and complaints included. Independent of src/tar, which it helps to judge.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { PythonCrash, YunohostError } from './errors.ts';

export interface ReadMember {
  readonly name: string;
  readonly type: 'file' | 'directory' | 'symlink' | 'hardlink' | 'other';
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
  readonly userName: string;
  readonly groupName: string;
  readonly modifiedSeconds: number;
  readonly linkName: string;
  readonly sizeBytes: number;
  content(): Buffer;
}

/** `tarfile.ReadError` or EOFError while listing: the caller words it as a corrupted archive. */
export class TarReadError extends Error {}

const blockBytes = 512;
const text = (block: Buffer, at: number, length: number) => {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return field.subarray(0, end < 0 ? length : end).toString('utf8');
};

function number(block: Buffer, at: number, length: number): number {
  const first = block[at] ?? 0;
  if (first < 0x80) return Number.parseInt(text(block, at, length).trim() || '0', 8);
  let value = 0;
  for (let index = at + 1; index < at + length; index++) value = value * 256 + (block[index] ?? 0);
  return first === 0xff ? value - 256 ** (length - 1) : value;
}

function hasChecksum(block: Buffer): boolean {
  let sum = 0;
  for (let at = 0; at < blockBytes; at++) sum += at >= 148 && at < 156 ? 32 : (block[at] ?? 0);
  return sum === number(block, 148, 8);
}

function paxRecords(bytes: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = Number(bytes.subarray(at, space).toString());
    if (space < 0 || !(length > 0)) break;
    const record = bytes.subarray(space + 1, at + length - 1);
    const equals = record.indexOf(0x3d);
    records.set(record.subarray(0, equals).toString(), record.subarray(equals + 1).toString());
    at += length;
  }
  return records;
}

const kinds: Record<string, ReadMember['type']> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

function memberOf(block: Buffer, archive: Buffer, at: number, pax: Map<string, string>): ReadMember {
  const prefix = block.subarray(257, 263).toString() === 'ustar\0' ? text(block, 345, 155) : '';
  const plainName = (prefix === '' ? '' : `${prefix}/`) + text(block, 0, 100);
  const name = (pax.get('path') ?? plainName).replace(/\/+$/, '');
  const old = String.fromCharCode(block[156] ?? 0);
  const type = kinds[old] ?? 'other';
  const stored = Number(pax.get('size') ?? number(block, 124, 12));
  const sizeBytes = type === 'file' || type === 'other' ? stored : 0;
  return {
    name,
    type: type === 'file' && plainName.endsWith('/') ? 'directory' : type,
    mode: number(block, 100, 8),
    userId: Number(pax.get('uid') ?? number(block, 108, 8)),
    groupId: Number(pax.get('gid') ?? number(block, 116, 8)),
    userName: pax.get('uname') ?? text(block, 265, 32),
    groupName: pax.get('gname') ?? text(block, 297, 32),
    modifiedSeconds: Number(pax.get('mtime') ?? number(block, 136, 12)),
    linkName: pax.get('linkpath') ?? text(block, 157, 100),
    sizeBytes,
    content: () => archive.subarray(at, at + sizeBytes),
  };
}

/** All members of a tar in memory. @throws TarReadError as tarfile complains. */
export function listMembers(archive: Buffer): ReadMember[] {
  const members: ReadMember[] = [];
  const global = new Map<string, string>();
  let pax = new Map<string, string>();
  for (let at = 0; at < archive.length; ) {
    const block = archive.subarray(at, at + blockBytes);
    if (block.length < blockBytes) break;
    if (block.every((byte) => byte === 0)) break;
    if (!hasChecksum(block)) {
      if (at === 0) throw new TarReadError('bad checksum');
      break;
    }
    const flag = String.fromCharCode(block[156] ?? 0);
    const data = at + blockBytes;
    const size = number(block, 124, 12);
    if ('xgLK'.includes(flag)) {
      const bytes = archive.subarray(data, data + size);
      if (bytes.length < size) throw new TarReadError('unexpected end of data');
      if (flag === 'x') pax = new Map([...pax, ...paxRecords(bytes)]);
      else if (flag === 'g') for (const [key, value] of paxRecords(bytes)) global.set(key, value);
      else pax.set(flag === 'L' ? 'path' : 'linkpath', text(bytes, 0, bytes.length));
      at = data + Math.ceil(size / blockBytes) * blockBytes;
      continue;
    }
    const member = memberOf(block, archive, data, new Map([...global, ...pax]));
    pax = new Map();
    members.push(member);
    at = data + Math.ceil(member.sizeBytes / blockBytes) * blockBytes;
    if (at > archive.length) throw new TarReadError('unexpected end of data');
  }
  return members;
}

/** Opens an archive in mode `r`: plain or gzipped, told by its first bytes. @throws a traceback when it is neither. */
export function openArchive(path: string): Buffer {
  const bytes = readFileSync(path);
  if (bytes.length === 0) throw new PythonCrash('tarfile.ReadError', 'empty file');
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      return gunzipSync(bytes);
    } catch {
      throw new TarReadError('Compressed file ended before the end-of-stream marker was reached');
    }
  }
  const first = bytes.subarray(0, blockBytes);
  if (first.length < blockBytes || (!hasChecksum(first) && !first.every((byte) => byte === 0))) {
    throw new PythonCrash('tarfile.ReadError', 'file could not be opened successfully');
  }
  return bytes;
}

/** `tarfile.open(path).getmembers()`; what Python words as corruption becomes the error that `backup info` shows. */
export function readArchive(path: string, shown: string): ReadMember[] {
  try {
    return listMembers(openArchive(path));
  } catch (error) {
    if (!(error instanceof TarReadError)) throw error;
    throw new YunohostError(`It looks like the backup archive '${shown}' is corrupted : ${error.message}`);
  }
}
