// Seals and opens the repository's configuration. FORMAT.md, Configuration.
import { FallbackError } from '../errors/fallback-error.ts';
import {
  configurationHeadBytes,
  configurationVersion,
  decodeConfiguration,
  decodeConfigurationHead,
  encodeConfiguration,
  encodeConfigurationHead,
  type RepositoryConfiguration,
} from '../format/configuration.ts';
import { limits } from '../format/limits.ts';
import type { RepositoryKeys } from './key-hierarchy.ts';
import { open, type RandomBytes, seal } from './seal.ts';

type ConfigurationKeys = Pick<RepositoryKeys, 'repositoryId' | 'configuration'>;

/** Seals a configuration into its file. @throws FORMAT_INVALID when it could not be read again. */
export function sealConfiguration(
  keys: ConfigurationKeys,
  configuration: RepositoryConfiguration,
  randomBytes: RandomBytes,
): Uint8Array {
  const version = configurationVersion(configuration);
  const head = encodeConfigurationHead({ version, repositoryId: keys.repositoryId });
  const plaintext = encodeConfiguration(configuration);
  decodeConfiguration(plaintext, version);
  const sealed = seal(keys.configuration, head, plaintext, randomBytes);
  return new Uint8Array(Buffer.concat([head, sealed]));
}

/** Opens a configuration's file. @throws TRUST_REPOSITORY, SEAL_BROKEN, FORMAT_INVALID, FORMAT_UNSUPPORTED, LIMIT_EXCEEDED. */
export function openConfiguration(keys: ConfigurationKeys, file: Uint8Array): RepositoryConfiguration {
  if (file.byteLength > limits.configurationBytesMax) {
    throw new FallbackError('LIMIT_EXCEEDED', 'The repository’s configuration is larger than the format allows.');
  }
  const { version, repositoryId } = decodeConfigurationHead(file);
  if (repositoryId !== keys.repositoryId) {
    throw new FallbackError('TRUST_REPOSITORY', 'The store gave the configuration of another repository.');
  }
  const head = file.subarray(0, configurationHeadBytes);
  const plaintext = open(keys.configuration, head, file.subarray(configurationHeadBytes), 'configuration');
  return decodeConfiguration(plaintext, version);
}
