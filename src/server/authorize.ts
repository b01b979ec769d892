// Who asks: bearer tokens. Whatever is wrong with one (unknown, malformed, another repository's), the answer and its time are the same.
import type { IncomingHttpHeaders } from 'node:http';
import { FallbackError } from '../errors/fallback-error.ts';
import { parseRepositoryId } from '../format/ids.ts';
import { RequestRefused } from './problem.ts';
import type { RepositoryAccess, RepositoryHost, Scope } from './repository-host.ts';

/** The bytes of `Authorization: Bearer …` in base64url, 16 to 32 of them; else undefined. */
export function parseBearer(headers: IncomingHttpHeaders): Uint8Array | undefined {
  const encoded = /^Bearer ([A-Za-z0-9_-]{22,43})$/i.exec(headers.authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const bytes = Buffer.from(encoded, 'base64url');
  return bytes.toString('base64url') === encoded ? new Uint8Array(bytes) : undefined;
}

/** The one answer to every token that is not accepted. */
export const unauthorized = (): RequestRefused =>
  new RequestRefused(401, 'UNAUTHORIZED', 'The server does not accept this token here.', {
    'www-authenticate': 'Bearer',
  });

const noToken = new Uint8Array(32);

/** Lets a token into a repository. @throws UNAUTHORIZED, FORBIDDEN when it may do less than `scope`. */
export async function authorize(
  host: RepositoryHost,
  repositoryText: string,
  token: Uint8Array | undefined,
  scope: Scope,
): Promise<RepositoryAccess> {
  const repositoryId = parseRepositoryId(repositoryText);
  // A missing or malformed token takes the same way as a wrong one, so that it takes the same time.
  const access = await host.authenticate(repositoryId, token?.byteLength === 32 ? token : noToken);
  if (access === undefined || token?.byteLength !== 32) throw unauthorized();
  if (!access.scopes.includes(scope)) {
    throw new FallbackError('FORBIDDEN', `This token may ${access.scopes.join(' and ')} only; this needs ${scope}.`);
  }
  return access;
}
