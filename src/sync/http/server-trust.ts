// How a server is recognised: by its own pinned certificate, or, behind a reverse proxy, by the public authorities.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

export type ServerTrust =
  /** The certificate is the only one trusted (PEM). */
  | { readonly kind: 'pinned'; readonly certificatePem: string }
  /** An ordinary certificate, checked against the address by the machine's authorities. */
  | { readonly kind: 'public' };

/** Where a server is, and how it is recognised. */
export interface TrustedServer {
  /** A host name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly trust: ServerTrust;
}

/** The name that fallback's own certificates carry. */
const ownName = 'fallback.invalid';

/** A name that the pinned certificate itself carries: with a pin, the name proves nothing more, but the check stays on. */
export function pinnedServerName(certificatePem: string): string {
  const certificate = new X509Certificate(certificatePem);
  if (certificate.checkHost(ownName) !== undefined) return ownName;
  const names = (certificate.subjectAltName ?? '').split(', ').map((name) => /^DNS:([^*]+)$/.exec(name)?.[1]);
  return names.find((name) => name !== undefined) ?? ownName;
}

/** Options of a TLS connection that trusts this server and no other; verification is always on. */
export function tlsOptions(server: TrustedServer): ConnectionOptions {
  // Said here, since its default is taken from the environment (NODE_TLS_REJECT_UNAUTHORIZED).
  const common: ConnectionOptions = { minVersion: 'TLSv1.3', ALPNProtocols: ['http/1.1'], rejectUnauthorized: true };
  if (server.trust.kind === 'public') {
    // RFC 6066: an IP address is no server name; it is checked against the certificate all the same.
    return { ...common, host: server.host, ...(isIP(server.host) === 0 ? { servername: server.host } : {}) };
  }
  const { certificatePem } = server.trust;
  return {
    ...common,
    ca: [certificatePem],
    servername: pinnedServerName(certificatePem),
    allowPartialTrustChain: true,
  };
}
