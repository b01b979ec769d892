// Pairing: a new repository for the holder of a pairing code. PROTOCOL.md, Pairing.
import { toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryId } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import type { PairingCode } from '../../format/pairing-code.ts';
import type { ClientEnvironment } from './client-environment.ts';
import { decodeAnswer, repositoryId, text } from './decode-answers.ts';
import { HttpClient } from './http-client.ts';
import { jsonBody } from './http-repository.ts';
import type { TrustedServer } from './server-trust.ts';
import { trustServer } from './trust-server.ts';

/** What the server learns of a new repository: hashes of tokens and sealed objects, no secret. */
export interface PairingRequest {
  readonly repositoryId: RepositoryId;
  readonly pushTokenSha256: Uint8Array;
  readonly readTokenSha256: Uint8Array;
  readonly configuration: Uint8Array;
  readonly keyDocument: Uint8Array;
}

export interface Pairing {
  /** To be kept: every later connection trusts this and nothing else. */
  readonly server: TrustedServer;
  /** The name that the server's admin gave the repository. */
  readonly name: string;
}

/**
 * Redeems the code. After an answer that was lost, the same code and request may be sent again.
 * @throws CERTIFICATE_MISMATCH, PAIRING_INVALID, ALREADY_EXISTS, UNREACHABLE, TIMEOUT, PROTOCOL.
 */
export async function pairWithServer(
  code: PairingCode,
  request: PairingRequest,
  environment: ClientEnvironment,
): Promise<Pairing> {
  const server = await trustServer(code, environment);
  const client = new HttpClient({ server, environment });
  try {
    const { body } = await client.send({
      method: 'POST',
      path: '/v1/pairing',
      token: code.oneTimeToken,
      body: jsonBody({
        repositoryId: request.repositoryId,
        pushTokenSha256: toHex(request.pushTokenSha256),
        readTokenSha256: toHex(request.readTokenSha256),
        configuration: Buffer.from(request.configuration).toString('base64'),
        keyDocument: Buffer.from(request.keyDocument).toString('base64'),
      }),
      success: [201],
      repeatable: true,
      answerBytesMax: client.limits.smallAnswerBytesMax,
    });
    return decodeAnswer(body, (fields) => {
      if (repositoryId(fields['repositoryId']) !== request.repositoryId) {
        throw new FallbackError('PROTOCOL', 'The server made another repository than the one asked for.');
      }
      return { server, name: text(fields['name'], limits.repositoryNameBytesMax) };
    });
  } finally {
    await client.close();
  }
}
