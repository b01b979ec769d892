// The repository's configuration: written once when it is made, sealed. FORMAT.md, Configuration.
import { ByteReader } from '../bytes/byte-reader.ts';
import { ByteWriter } from '../bytes/byte-writer.ts';
import { FallbackError } from '../errors/fallback-error.ts';
import { idBytes, type RepositoryId, repositoryIdFromBytes } from './ids.ts';
import { limits } from './limits.ts';
import { readMagic } from './read-magic.ts';

/** Lengths of chunks in bytes, as the chunker's contract has them. */
interface Sizes {
  readonly minimumBytes: number;
  readonly averageBytes: number;
  readonly maximumBytes: number;
}

/** How this repository's archives are cut, and how large its packs become. */
export interface RepositoryConfiguration {
  readonly engine: 'fallback' | 'fastcdc-wasm';
  readonly fine: Sizes;
  /** Undefined in version 1, which does not know them. */
  readonly edited: Sizes | undefined;
  readonly coarse: Sizes;
  readonly largeMemberBytesMin: number;
  readonly coarseMemberBytesMin: number;
  /** A pack is sealed once its contents reach a length drawn at random between these, in bytes. */
  readonly packTargetBytesMin: number;
  readonly packTargetBytesMax: number;
}

export const configurationHeadBytes = 24;

/** 1; or 2, which has sizes for members that are edited all over. */
export type ConfigurationVersion = 1 | 2;

/** The head, in clear. */
export interface ConfigurationHead {
  readonly version: ConfigurationVersion;
  readonly repositoryId: RepositoryId;
}

/** The oldest version that can say what a configuration has to say. */
export const configurationVersion = ({ edited }: RepositoryConfiguration): ConfigurationVersion =>
  edited === undefined ? 1 : 2;

/** `"FBCF" version | three zeros | repository id (16)`: stands before the sealed part, and is its associated data. */
export function encodeConfigurationHead({ version, repositoryId }: ConfigurationHead): Uint8Array {
  return new ByteWriter(configurationHeadBytes)
    .bytes(Buffer.from('FBCF'))
    .u8(version)
    .zeros(3)
    .bytes(idBytes(repositoryId))
    .finish();
}

/** Reads the head. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodeConfigurationHead(bytes: Uint8Array): ConfigurationHead {
  const reader = new ByteReader(bytes.subarray(0, configurationHeadBytes), 'configuration');
  const version = readMagic(reader, 'FBCF', 'configuration', 2) === 1 ? 1 : 2;
  if (reader.u8() !== 0 || reader.u16() !== 0) throw reader.invalid('its head is not zero where it must be');
  return { version, repositoryId: repositoryIdFromBytes(reader.bytes(16)) };
}

function writeSizes(writer: ByteWriter, sizes: Sizes): void {
  writer.varint(sizes.minimumBytes).varint(sizes.averageBytes).varint(sizes.maximumBytes);
}

function readSizes(reader: ByteReader): Sizes {
  const sizes = {
    minimumBytes: reader.varint(limits.chunkBytesMax),
    averageBytes: reader.varint(limits.chunkBytesMax),
    maximumBytes: reader.varint(limits.chunkBytesMax),
  };
  const ordered =
    sizes.minimumBytes >= 64 && sizes.minimumBytes <= sizes.averageBytes && sizes.averageBytes <= sizes.maximumBytes;
  if (!ordered) throw reader.invalid('its chunk sizes are out of order');
  return sizes;
}

/** Encodes the part to seal, in the version that `configurationVersion` says. */
export function encodeConfiguration(configuration: RepositoryConfiguration): Uint8Array {
  const writer = new ByteWriter(64).u8(configuration.engine === 'fallback' ? 0 : 1);
  writeSizes(writer, configuration.fine);
  writeSizes(writer, configuration.coarse);
  if (configuration.edited !== undefined) writeSizes(writer, configuration.edited);
  return writer
    .varint(configuration.largeMemberBytesMin)
    .varint(configuration.coarseMemberBytesMin)
    .varint(configuration.packTargetBytesMin)
    .varint(configuration.packTargetBytesMax)
    .finish();
}

/** Decodes the opened part. @param version as the head says. @throws FORMAT_INVALID, FORMAT_UNSUPPORTED. */
export function decodeConfiguration(bytes: Uint8Array, version: ConfigurationVersion): RepositoryConfiguration {
  const reader = new ByteReader(bytes, 'configuration');
  const engine = reader.u8();
  if (engine > 1)
    throw new FallbackError('FORMAT_UNSUPPORTED', 'The repository uses a chunker that this version does not know.');
  const fine = readSizes(reader);
  const coarse = readSizes(reader);
  const edited = version === 1 ? undefined : readSizes(reader);
  const largeMemberBytesMin = reader.varint();
  const coarseMemberBytesMin = reader.varint();
  const packTargetBytesMin = reader.varint(limits.packContentsBytesMax - limits.chunkBytesMax);
  const packTargetBytesMax = reader.varint(limits.packContentsBytesMax - limits.chunkBytesMax);
  if (packTargetBytesMin < 1 || packTargetBytesMin > packTargetBytesMax)
    throw reader.invalid('its pack sizes are out of order');
  reader.end();
  return {
    engine: engine === 0 ? 'fallback' : 'fastcdc-wasm',
    fine,
    edited,
    coarse,
    largeMemberBytesMin,
    coarseMemberBytesMin,
    packTargetBytesMin,
    packTargetBytesMax,
  };
}
