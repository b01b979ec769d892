// Recovery: what a new machine fetches with the recovery phrase's access token, before it has any key. PROTOCOL.md, Recovery.
import type { RepositoryId } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import type { ServerAddress } from '../../format/pairing-code.ts';
import type { ClientEnvironment } from './client-environment.ts';
import { array, base64, decodeAnswer, integer, object, repositoryId } from './decode-answers.ts';
import { HttpClient } from './http-client.ts';
import type { TrustedServer } from './server-trust.ts';
import { trustServer } from './trust-server.ts';

export interface FetchedRecovery {
  /** To be kept: every later connection trusts this and nothing else. */
  readonly server: TrustedServer;
  readonly repositoryId: RepositoryId;
  readonly configuration: Uint8Array;
  /** The phrase was replaced by a newer one; it still opens what it opened. */
  readonly superseded: boolean;
  /** All that say they have a slot for the phrase, ascending by number; unverified until one of them opens. */
  readonly keyDocuments: readonly { readonly number: number; readonly file: Uint8Array }[];
}

/**
 * Fetches the repository's sealed objects.
 * @param accessToken the 32 bytes that the phrase gives: they open nothing else.
 * @throws CERTIFICATE_MISMATCH, UNAUTHORIZED (no repository has this phrase), UNREACHABLE, TIMEOUT, PROTOCOL.
 */
export async function fetchRecovery(
  address: ServerAddress,
  accessToken: Uint8Array,
  environment: ClientEnvironment,
): Promise<FetchedRecovery> {
  const server = await trustServer(address, environment);
  const client = new HttpClient({ server, environment });
  try {
    const { body } = await client.send({
      method: 'GET',
      path: '/v1/recovery',
      token: accessToken,
      success: [200],
      repeatable: true,
      answerBytesMax: client.limits.recoveryBytesMax,
    });
    return decodeAnswer(body, (fields) => ({
      server,
      repositoryId: repositoryId(fields['repositoryId']),
      superseded: fields['superseded'] === true,
      configuration: base64(fields['configuration'], limits.configurationBytesMax),
      keyDocuments: array(fields['keyDocuments'], limits.keyDocumentsMax).map((item) => {
        const { number, file } = object(item);
        return { number: integer(number, limits.packNumberMax), file: base64(file, limits.keyDocumentBytesMax) };
      }),
    }));
  } finally {
    await client.close();
  }
}
