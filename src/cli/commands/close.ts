// fallback close: the fallback server gives back.
import { type CommandBody, type Invocation, textOption } from '../command-spec.ts';
import {
  folderTakeoverOptions,
  openJournal,
  openMachine,
  refuseWhileRecovering,
  withFolderSession,
  withLock,
} from '../open-takeover.ts';

const discardOption = textOption(
  '--discard <apps>',
  'apps, by commas, that are removed although they cannot be backed up: what they produced is lost',
  {
    completion: 'none',
  },
);

const leaveOption = textOption(
  '--leave <apps>',
  'this server’s own apps, by commas, that failed to come back and need not: they stay in their snapshot',
  { completion: 'none' },
);

const namesOf = (list: string | undefined): string[] => (list ?? '').split(',').filter((one) => one !== '');

async function run(given: Invocation): Promise<number | undefined> {
  const machine = await openMachine(given, 'fallback');
  const { invocation, host } = machine;
  return await withLock(machine, 'close', async () => {
    const journal = await openJournal(machine);
    const { requireClosable, runClose } = await import('../../yunohost/takeover/close.ts');
    const { pinSnapshot, unpinSnapshot } = await import('../../store/retention.ts');
    requireClosable(journal);
    await refuseWhileRecovering(machine, 'close');
    const report = await withFolderSession(machine, (session) =>
      runClose({
        host,
        session,
        journal,
        pin: (number) => pinSnapshot(session.repository, number),
        unpin: (number) => unpinSnapshot(session.repository, number),
        discarded: namesOf(invocation.get(discardOption)),
        left: namesOf(invocation.get(leaveOption)),
      }),
    );
    const { output } = invocation;
    output.json(report);
    output.line(
      `What was produced here is in snapshot ${report.produced}, verified: ${report.saved.join(', ') || 'nothing'}.`,
    );
    if (report.discarded.length > 0) output.line(`Given up: ${report.discarded.join(', ')}.`);
    for (const { app, folder, from = folder } of report.unsaved) {
      if (app === undefined) {
        output.warn(
          `${from} is in no archive, because of a file .nobackup in it. What was written here stays in ${folder}: copy it to the main server yourself.`,
        );
        continue;
      }
      output.warn(
        `The data of ${app} are in no archive, because its setting do_not_backup_data is 1. What was written here stays in ${folder}: copy it to the main server yourself.`,
      );
    }
    if (report.late !== undefined) {
      output.warn(
        `Web or mail ran after this close was interrupted. What was written then is in snapshot ${report.late}, and does not come home by itself: fallback snapshots, fallback restore.`,
      );
    }
    for (const { app, snapshot } of report.cutOff) {
      output.warn(
        `A restore of ${app} was cut off, and the app was here all the same. What it held is in snapshot ${snapshot}, and does not come home by itself: fallback recover ${app} --at ${snapshot}, on the server that shall have it.`,
      );
    }
    output.line(
      report.wasBare
        ? 'The apps are removed. This machine was not set up before: its system stays as it is now; install it anew if you want it empty.'
        : `This server is what it was before${report.lost.length === 0 ? '' : ', but for what is named below'}.`,
    );
    for (const { name, reason, snapshot } of report.lost) {
      output.warn(
        `This server’s own ${name} did not come back: ${reason} It is in snapshot ${snapshot}, which stays pinned: fallback restore writes it to a file, yunohost backup restore brings it back.`,
      );
    }
    output.line('Now on the main server: fallback update. Until then its nightly pushes are refused.');
    return report.lost.length === 0 ? undefined : 3;
  });
}

export const closeCommand: CommandBody = {
  description: [
    'Backs up the system and every app that came, into the same repository, and rebuilds all of it to prove it. Only then are the apps and their data removed, ' +
      'and this server’s own state restored and looked at.',
    'Meanwhile nginx, postfix and dovecot stand still, so that nothing is written that the backup does not hold. Interrupted before anything was removed, it backs up anew.',
    'An app whose setting do_not_backup_data is 1 has its data in no archive: they stay here, in their folder or, when an app of this server’s own comes back to it, beside it; close says where. ' +
      'The same goes for a home or the multimedia folder with a file .nobackup in it.',
    'An own app that fails to come back holds up nothing else: services run again, and the same command tries it once more; with --leave it stays in its snapshot. ' +
      'A part of the own system that fails is told, and the close ends with exit code 3.',
    'An app whose restore was cut off, by deploy or by close, may be here all the same: it is backed up by itself before it is removed, and close names the snapshot.',
    'When one app cannot be backed up, nothing is removed: repair it, or give its data up by name with --discard. Interrupted anywhere: type the same command again. ' +
      'A deploy that was interrupted is given up the same way.',
  ],
  options: [discardOption, leaveOption, ...folderTakeoverOptions],
  examples: [
    ['fallback close', 'the main server is back'],
    ['fallback close --discard wiki', 'without saving what the app wiki produced here'],
  ],
  json: [
    'One object: `produced` (a snapshot’s number), `saved`, `discarded`, `unsaved` (each `folder`, `app` unless it is a home or the multimedia folder, and `from` when they were moved), `late` (a safety snapshot), `cutOff` (each `app`, `snapshot`), `wasBare`, `lost` (of this server’s own: each `name`, `reason`, `snapshot`).',
  ],
  run,
};
