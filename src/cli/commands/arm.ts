// fallback arm, fallback disarm: keeps the key on the fallback server, so that it can take over while nobody is there.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CommandBody, Invocation } from '../command-spec.ts';
import { mainDomainOf, noteMainDomain, watchedDomains } from '../main-domain.ts';
import { folderTakeoverOptions, openMachine, unlockedSecret, withFolderSession } from '../open-takeover.ts';
import { configOption } from '../open-yunohost.ts';
import { jsonOption, quietOption, stateOption } from '../shared-options.ts';

async function arm(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'fallback');
  const { invocation, host, configuration } = machine;
  const { world, output } = invocation;
  const isAlone = configuration.watch.enabled && configuration.watch.deploy;
  const { saveArmedKey, armedKeyPath, removeArmedKey } = await import('../../yunohost/takeover/armed-key.ts');
  // An old key must not open what the passphrase is asked for.
  await removeArmedKey(world.fs, host.stateFolder);
  const { secret, repositoryId } = await unlockedSecret(machine);
  const randomHex = Buffer.from(world.randomBytes(8)).toString('hex');
  await saveArmedKey(world.fs, host.stateFolder, { repositoryId, secret, armedAtMs: world.nowMs() }, randomHex);
  // Proof that it opens what it is for. What the watch must ask stands under the key.
  await withFolderSession(
    machine,
    async (session) => {
      if (configuration.watch.domains.length === 0) await noteMainDomain(machine, await mainDomainOf(session));
    },
    true,
  );
  if (isAlone && (await watchedDomains(machine)).length === 0) {
    await removeArmedKey(world.fs, host.stateFolder);
    throw new FallbackError(
      'USAGE',
      'watch.deploy is set, and no domain of the main server is known that could be asked whether it lives: watch.domains is empty, and no snapshot names one. This server is not armed.',
      { hint: 'Name its domains in watch.domains; or fallback push on the main server, then fallback arm here.' },
    );
  }
  output.json({ armed: true, path: armedKeyPath(host.stateFolder) });
  output.lines([
    `This server is armed: the key lies in ${armedKeyPath(host.stateFolder)}, readable by root alone.`,
    'What that means: whoever becomes root here, or steals this disk, can read every backup of the main server. The passphrase itself is not kept.',
    isAlone
      ? 'fallback watch will take over by itself when the main server is down for longer than watch.delay.'
      : 'fallback watch does not take over by itself: watch.enabled and watch.deploy are not both set. fallback deploy --auto does, without asking.',
    'fallback disarm removes the key.',
  ]);
  return undefined;
}

async function disarm(given: Invocation): Promise<number | undefined> {
  const { invocation, host } = await openMachine(given, 'fallback');
  const { removeArmedKey } = await import('../../yunohost/takeover/armed-key.ts');
  const wasArmed = await removeArmedKey(invocation.world.fs, host.stateFolder);
  invocation.output.json({ armed: false, wasArmed });
  invocation.output.line(
    wasArmed ? 'The key is removed: a takeover needs the passphrase again.' : 'This server was not armed.',
  );
  return undefined;
}

export const armCommand: CommandBody = {
  description: [
    'Asks for the passphrase once, and keeps the key that it opens (not the passphrase) in the state folder, mode 0600. From then on this server can read the backups: ' +
      'whoever becomes root on it can as well.',
    'It also notes the main domain of the newest snapshot for fallback watch, which has no key. With watch.deploy and no domain to ask it refuses.',
  ],
  options: [...folderTakeoverOptions],
  examples: [['fallback arm', 'asks for the passphrase']],
  json: ['One object: `armed`, `path`.'],
  run: arm,
};

export const disarmCommand: CommandBody = {
  description: ['A takeover then needs the passphrase or the recovery phrase again.'],
  options: [configOption, stateOption, quietOption, jsonOption],
  examples: [['fallback disarm', 'removes the key']],
  json: ['One object: `armed` (false), `wasArmed`.'],
  run: disarm,
};
