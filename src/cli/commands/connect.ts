// fallback connect HOST[:PORT]: read access for a new machine, from the recovery sheet alone.
import { fromHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { type CommandBody, flagOption, type Invocation, textOption, valueOption } from '../command-spec.ts';
import { networkEnvironment, openState, warnOfLostHead } from '../open-repository.ts';
import { parseFingerprint, parseHostPort, showHostPort } from '../parse-values.ts';
import { obtainPhrase, readSecret } from '../secrets.ts';
import { jsonOption, keyDocumentOption, phraseFileOption, stateOption } from '../shared-options.ts';
import { showAge, showText, showTime } from '../show.ts';

const portDefault = 7443;

const fingerprintOption = valueOption(
  '--fingerprint <sha256>',
  'the certificate’s fingerprint from the recovery sheet; hyphens, colons and spaces do not matter',
  parseFingerprint,
  { completion: 'none' },
);
const publicOption = flagOption(
  '--public-certificate',
  'the server has an ordinary web certificate: check it by name instead of a fingerprint',
);
const pushTokenOption = textOption(
  '--push-token-file <file>',
  'a token from `fallback repositories grant` on the fallback server: this machine may then push too',
  { completion: 'file' },
);

async function readPushToken(invocation: Invocation): Promise<Uint8Array | undefined> {
  const file = invocation.get(pushTokenOption);
  if (file === undefined) return undefined;
  const token = fromHex((await readSecret(invocation.world, file, 'push token')).trim(), 32);
  if (token !== undefined) return token;
  throw new FallbackError('USAGE', `${file} holds no push token: that is 64 hexadecimal digits.`);
}

function certificateSha256(invocation: Invocation): Uint8Array {
  const fingerprint = invocation.get(fingerprintOption);
  const isPublic = invocation.get(publicOption) !== undefined;
  if ((fingerprint === undefined) === !isPublic) {
    throw new FallbackError('USAGE', 'How the server is recognised must be given: by its fingerprint, or by name.', {
      hint: 'Type --fingerprint with the digits of the recovery sheet, or --public-certificate if the sheet says so.',
    });
  }
  // Zeros stand for the public authorities: sync/http/trust-server.ts.
  return (fingerprint === undefined ? undefined : fromHex(fingerprint, 32)) ?? new Uint8Array(32);
}

async function run(invocation: Invocation): Promise<undefined> {
  const { world, output } = invocation;
  const { host, port } = parseHostPort(portDefault)(invocation.args[0] ?? '');
  const address = { host, port, certificateSha256: certificateSha256(invocation) };
  const pushToken = await readPushToken(invocation);
  const [{ connectWithPhrase, findConnected }, { fetchRecovery }, { rememberHead }] = await Promise.all([
    import('../../sync/pair/connect-with-phrase.ts'),
    import('../../sync/http/fetch-recovery.ts'),
    import('../../sync/pair/remember-head.ts'),
  ]);
  const { HttpRepository } = await import('../../sync/http/http-repository.ts');
  const state = await openState(invocation);
  const lock = await state.lock('connect', () => world.nowMs());
  try {
    await findConnected(state, pushToken);
    const phraseEntropy = await obtainPhrase(invocation);
    const environment = networkEnvironment(world);
    const keyDocument = invocation.get(keyDocumentOption);
    const request = { fs: world.fs, state, address, phraseEntropy, keyDocument, pushToken };
    const { credentials, status, newest } = await connectWithPhrase(request, {
      fetchRecovery: (server, accessToken) => fetchRecovery(server, accessToken, environment),
      openRepository: (server, { repositoryId }, token) =>
        new HttpRepository({ server, environment, repositoryId, token }),
    });
    if (newest !== undefined) await rememberHead(state, status);
    const { name, repositoryId } = credentials.address;
    const { head, lastCompleteAtMs, serverTimeMs } = status;
    output.line(`Connected with repository ${name} on ${showHostPort(credentials.address)}.`);
    if (head === undefined) output.line('It has no snapshot yet.');
    else if (newest === undefined) warnOfLostHead(invocation, status);
    else {
      const complete =
        lastCompleteAtMs === undefined
          ? 'none is complete'
          : `the last complete one came ${showAge(lastCompleteAtMs, serverTimeMs)}`;
      output.line(
        `Its newest snapshot is ${head.number}, made ${showTime(newest.createdAtMs)} on ${showText(newest.hostName)}; ${complete}.`,
      );
      output.line(
        'Compare that with the main server’s last report: a hostile server could show an older one to a new machine.',
      );
    }
    output.line('Next: fallback snapshots, fallback restore latest --to FOLDER');
    output.json({
      repositoryId,
      name,
      address: showHostPort(credentials.address),
      newestSnapshot: head?.number,
      newestMadeAtMs: newest?.createdAtMs,
      lastCompleteAtMs,
      mayPush: pushToken !== undefined,
      state: state.folder,
    });
  } finally {
    lock.release();
  }
  return undefined;
}

export const connectCommand: CommandBody = {
  description: [
    'For the day when the main server is gone: address, fingerprint and twelve words from the recovery sheet are all it takes. ' +
      'The machine may then list, restore and check; it cannot push, overwrite or delete.',
  ],
  arguments: [{ syntax: '<host[:port]>', description: 'the fallback server’s address', completion: 'none' }],
  options: [
    fingerprintOption,
    publicOption,
    phraseFileOption,
    keyDocumentOption,
    pushTokenOption,
    stateOption,
    jsonOption,
  ],
  examples: [
    ['fallback connect backup.example.org --fingerprint 4f2a91bc-…', 'as the recovery sheet says'],
    ['fallback connect backup.example.org --fingerprint 4f2a91bc-… --phrase-file words.txt', 'without a terminal'],
  ],
  json: [
    'One object: `repositoryId`, `name`, `address`, `newestSnapshot`, `newestMadeAtMs` (by the main server’s clock) and `lastCompleteAtMs` (absent without any), `mayPush`, `state`.',
  ],
  run,
};
