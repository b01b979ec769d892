// fallback invite: a pairing code for one new main server.
import { FallbackError } from '../../errors/fallback-error.ts';
import { type CommandBody, type Invocation, textOption, valueOption } from '../command-spec.ts';
import { storeFolder, withStore } from '../open-repository.ts';
import { parseDurationMs, parseHostPort, showHostPort } from '../parse-values.ts';
import { readNotedAddress } from '../server-address.ts';
import { jsonOption, storeOption } from '../shared-options.ts';
import { showDuration, showTime } from '../show.ts';

const hour = 3_600_000;
const lifetimeMsMax = 30 * 24 * hour;

const nameOption = textOption('--name <name>', 'what the new repository is called, for people', {
  absent: 'main',
  completion: 'none',
});
const expiresOption = valueOption('--expires <time>', 'how long the code is good: 30min, 1h, 2d', parseDurationMs, {
  absent: '1h',
  completion: 'none',
});
const addressOption = valueOption(
  '--address <host[:port]>',
  'how the main server reaches this machine',
  parseHostPort(0),
  { absent: 'what `fallback serve` was told', completion: 'none' },
);

async function addressOf(invocation: Invocation) {
  const folder = await storeFolder(invocation);
  const noted = await readNotedAddress(invocation.world, folder);
  if (noted === undefined) {
    throw new FallbackError('NOT_FOUND', 'No server was ever started on this store. No code was made.', {
      hint: `Start it first: fallback serve --dir ${folder}`,
    });
  }
  const given = invocation.get(addressOption);
  const host = given?.host ?? noted.host;
  if (host === undefined) {
    throw new FallbackError('USAGE', 'It is not known how the main server reaches this machine. No code was made.', {
      hint: 'Say it with --address HOST[:PORT], or once for all with fallback serve --public HOST[:PORT].',
    });
  }
  const port = given === undefined || given.port === 0 ? noted.port : given.port;
  return { host, port, certificateSha256: noted.certificateSha256 ?? new Uint8Array(32) };
}

async function run(invocation: Invocation): Promise<undefined> {
  const { world, output } = invocation;
  const name = invocation.get(nameOption) ?? 'main';
  if (/\p{C}/u.test(name)) throw new FallbackError('USAGE', 'A repository’s name holds no control characters.');
  const lifetimeMs = invocation.get(expiresOption) ?? hour;
  if (lifetimeMs > lifetimeMsMax)
    throw new FallbackError('USAGE', 'A code is good for 30 days at most. None was made.');
  return await withStore(invocation, async (store) => {
    const address = await addressOf(invocation);
    const { encodePairingCode } = await import('../../format/pairing-code.ts');
    // The address is checked before the invite is made: none is left behind that nobody has.
    encodePairingCode({ ...address, oneTimeToken: new Uint8Array(16) });
    const oneTimeToken = await store.createInvite(name, lifetimeMs);
    const code = encodePairingCode({ ...address, oneTimeToken });
    const expiresAtMs = world.nowMs() + lifetimeMs;
    output.json({ code, name, address: showHostPort(address), expiresAtMs });
    if (output.mode.json) return undefined;
    output.note(
      `Pairing code for a repository called ${name} on ${showHostPort(address)}, good once, ` +
        `for ${showDuration(lifetimeMs)} (until ${showTime(expiresAtMs)}). On the main server type:`,
    );
    output.line(`fallback init ${code}`);
    return undefined;
  });
}

export const inviteCommand: CommandBody = {
  description: [
    'The code holds this server’s address, its certificate’s fingerprint and a one-time password. Treat it as a secret while it is good. ' +
      'It works beside a running server.',
  ],
  options: [storeOption, nameOption, expiresOption, addressOption, jsonOption],
  examples: [
    ['fallback invite --dir /srv/fallback --name main.example.org', 'prints the command to type on the main server'],
    [
      'fallback invite --dir /srv/fallback --expires 1d --address backup.example.org',
      'good for a day, with a given address',
    ],
  ],
  json: ['One object: `code`, `name`, `address`, `expiresAtMs`.'],
  run,
};
