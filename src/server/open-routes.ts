// The routes outside a repository: what the server is, pairing, recovery.

import { toHex } from '../bytes/hex.ts';
import { parseRepositoryId } from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import { unauthorized } from './authorize.ts';
import { jsonReply, type Reply } from './reply.ts';
import type { Exchange, OpenRoute } from './route.ts';

/** The version of the protocol that this server speaks. */
export const protocolVersion = 1;

async function pair(exchange: Exchange): Promise<Reply> {
  // First of all: strangers must not hold a place with bodies that never come.
  await exchange.host.expectPairing(exchange.token);
  const fields = await exchange.json();
  const request = {
    repositoryId: parseRepositoryId(toHex(fields.hex('repositoryId', 16))),
    pushTokenSha256: fields.hex('pushTokenSha256', 32),
    readTokenSha256: fields.hex('readTokenSha256', 32),
    configuration: fields.base64('configuration', limits.configurationBytesMax),
    keyDocument: fields.base64('keyDocument', limits.keyDocumentBytesMax),
  };
  fields.end();
  const { repositoryId, name } = await exchange.host.redeem(exchange.token, request);
  return jsonReply(201, { repositoryId, name });
}

async function recover(exchange: Exchange): Promise<Reply> {
  const recovery = await exchange.host.recover(exchange.token);
  if (recovery === undefined) throw unauthorized();
  return jsonReply(200, {
    repositoryId: recovery.repositoryId,
    superseded: recovery.superseded,
    configuration: Buffer.from(recovery.configuration).toString('base64'),
    keyDocuments: recovery.keyDocuments.map(({ number, file }) => ({
      number,
      file: Buffer.from(file).toString('base64'),
    })),
  });
}

/** All routes outside a repository. */
export const openRoutes: readonly OpenRoute[] = [
  {
    method: 'GET',
    path: '/v1/server',
    scope: 'none',
    summary: 'That this is a fallback server, and the protocol it speaks.',
    query: [],
    body: undefined,
    success: 200,
    ranges: false,
    codes: [],
    handle: async () => jsonReply(200, { server: 'fallback', protocol: protocolVersion }),
  },
  {
    method: 'POST',
    path: '/v1/pairing',
    scope: 'pairing',
    summary: 'Makes a repository for the holder of an invitation.',
    query: [],
    body: { type: 'application/json', bytesMax: limits.jsonBytesMax },
    success: 201,
    ranges: false,
    codes: ['DIGEST_MISMATCH', 'PAIRING_INVALID', 'ALREADY_EXISTS', 'CONFLICT', 'FORMAT_INVALID', 'FORMAT_UNSUPPORTED'],
    handle: pair,
  },
  {
    method: 'GET',
    path: '/v1/recovery',
    scope: 'recovery',
    summary: 'What the holder of a recovery phrase needs to unwrap the secret.',
    query: [],
    body: undefined,
    success: 200,
    ranges: false,
    codes: ['DAMAGED'],
    handle: recover,
  },
];
