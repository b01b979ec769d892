// From an address with a fingerprint to a server that is recognised ever after.
import type { ServerAddress } from '../../format/pairing-code.ts';
import type { ClientEnvironment } from './client-environment.ts';
import { fetchCertificate } from './fetch-certificate.ts';
import type { TrustedServer } from './server-trust.ts';

/** A fingerprint of zeros says: behind a reverse proxy, recognised by the public authorities. */
export const publicTrustFingerprint: Uint8Array = new Uint8Array(32);

/** Fetches and pins the certificate, unless the address asks for public trust. @throws what fetchCertificate throws. */
export async function trustServer(address: ServerAddress, environment: ClientEnvironment): Promise<TrustedServer> {
  const { host, port } = address;
  if (address.certificateSha256.every((byte) => byte === 0)) return { host, port, trust: { kind: 'public' } };
  const certificatePem = await fetchCertificate(address, environment);
  return { host, port, trust: { kind: 'pinned', certificatePem } };
}
