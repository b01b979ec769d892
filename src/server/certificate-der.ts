// A self-signed P-256 certificate in DER (RFC 5280, RFC 5480), of one fixed shape: enough of ASN.1 for that, and no more.
import { createHash, generateKeyPairSync, sign } from 'node:crypto';

type Bytes = Uint8Array;

/** Tag, length, contents (X.690). */
function der(tag: number, ...contents: readonly Bytes[]): Bytes {
  const body = Buffer.concat(contents);
  const { length } = body;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), body]);
  const lengthBytes = length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...lengthBytes]), body]);
}

const sequence = (...contents: readonly Bytes[]): Bytes => der(0x30, ...contents);
const oid = (hex: string): Bytes => der(0x06, Buffer.from(hex, 'hex'));
const text = (tag: number, value: string): Bytes => der(tag, Buffer.from(value, 'latin1'));
const bitString = (contents: Bytes): Bytes => der(0x03, Buffer.from([0]), contents);
const extension = (id: string, critical: boolean, value: Bytes): Bytes =>
  sequence(oid(id), ...(critical ? [der(0x01, Buffer.from([0xff]))] : []), der(0x04, value));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const commonName = oid('550403');
const authorityInfo = { basicConstraints: '551d13', keyUsage: '551d0f', extendedKeyUsage: '551d25', altName: '551d11' };
const serverAuth = oid('2b06010505070301');

/** Valid at any time that a wrong clock may show; 9999 is RFC 5280's date for “no end”. */
const validity = sequence(text(0x17, '700101000000Z'), text(0x18, '99991231235959Z'));

/** A new key and its certificate, both in PEM. */
export interface NewCertificate {
  readonly keyPem: string;
  readonly certificatePem: string;
}

/** Makes a key and a certificate for the DNS name `dnsName`. */
export function makeSelfSignedCertificate(dnsName: string): NewCertificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKeyDer = publicKey.export({ type: 'spki', format: 'der' });
  // A serial number of its own for each key: 16 bytes of the key's hash, made positive.
  const serial = createHash('sha256').update(publicKeyDer).digest().subarray(0, 16);
  serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40;
  const name = sequence(der(0x31, sequence(commonName, text(0x0c, 'fallback server'))));
  const extensions = sequence(
    extension(authorityInfo.basicConstraints, true, sequence()),
    extension(authorityInfo.keyUsage, true, der(0x03, Buffer.from([7, 0x80]))),
    extension(authorityInfo.extendedKeyUsage, false, sequence(serverAuth)),
    extension(authorityInfo.altName, false, sequence(text(0x82, dnsName))),
  );
  const version3 = der(0xa0, der(0x02, Buffer.from([2])));
  const toSign = sequence(
    version3,
    der(0x02, serial),
    ecdsaWithSha256,
    name,
    validity,
    name,
    publicKeyDer,
    der(0xa3, extensions),
  );
  const signature = sign('sha256', toSign, { key: privateKey, dsaEncoding: 'der' });
  const certificate = sequence(toSign, ecdsaWithSha256, bitString(signature));
  const lines = Buffer.from(certificate)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certificatePem: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  };
}
