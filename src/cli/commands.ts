// The words of the command line, in the order of the help. What stands behind a word is loaded when it is typed.
import type { CommandEntry, CommandFamily, CommandSpec } from './command-spec.ts';

export const commandEntries: readonly CommandEntry[] = [
  {
    name: 'init',
    group: 'main',
    summary: 'make this machine’s repository on a fallback server, and print the recovery sheet',
    load: async () => (await import('./commands/init.ts')).initCommand,
  },
  {
    name: 'push',
    group: 'main',
    summary: 'send archives to the fallback server as one snapshot; only what is new goes over the network',
    load: async () => (await import('./commands/push.ts')).pushCommand,
  },
  {
    name: 'apps',
    group: 'main',
    summary: 'show which apps and system parts are covered, and which are not',
    load: async () => (await import('./commands/apps.ts')).appsCommand,
  },
  {
    name: 'snapshots',
    group: 'main',
    summary: 'list the snapshots, with what is partial, damaged or about to be deleted',
    load: async () => (await import('./commands/snapshots.ts')).snapshotsCommand,
  },
  {
    name: 'restore',
    group: 'main',
    summary: 'restore archives as files, single members into a folder, or either to stdout',
    load: async () => (await import('./commands/restore.ts')).restoreCommand,
  },
  {
    name: 'ls',
    group: 'main',
    summary: 'list the archives of a snapshot, or the members of an archive',
    load: async () => (await import('./commands/ls.ts')).lsCommand,
  },
  {
    name: 'diff',
    group: 'main',
    summary: 'show what changed from one snapshot to another',
    load: async () => (await import('./commands/diff.ts')).diffCommand,
  },
  {
    name: 'check',
    group: 'main',
    summary: 'prove that every snapshot is complete; with --read-data, that it can be rebuilt',
    load: async () => (await import('./commands/check.ts')).checkCommand,
  },
  {
    name: 'status',
    group: 'both',
    summary: 'show at a glance how it stands: last complete snapshot, space, damage, state',
    load: async () => (await import('./commands/status.ts')).statusCommand,
  },
  {
    name: 'update',
    group: 'main',
    summary: 'take home what the fallback server produced, and go back to normal operation',
    load: async () => (await import('./commands/update.ts')).updateCommand,
  },
  {
    name: 'recover',
    group: 'both',
    summary: 'put one app back in place as it was at a date, with a safety backup of what it is now',
    load: async () => (await import('./commands/recover.ts')).recoverCommand,
  },
  {
    name: 'key',
    group: 'main',
    summary: 'passphrase and recovery phrase: change them, or show what there is',
    load: async () => (await import('./commands/key.ts')).keyFamily,
  },
  {
    name: 'deploy',
    group: 'fallback',
    summary: 'take over: this fallback server becomes the main server',
    load: async () => (await import('./commands/deploy.ts')).deployCommand,
  },
  {
    name: 'close',
    group: 'fallback',
    summary: 'give back: what was produced is backed up and proved, then this server becomes what it was',
    load: async () => (await import('./commands/close.ts')).closeCommand,
  },
  {
    name: 'arm',
    group: 'fallback',
    summary: 'keep the key on this server, so that it can take over while nobody is there',
    load: async () => (await import('./commands/arm.ts')).armCommand,
  },
  {
    name: 'disarm',
    group: 'fallback',
    summary: 'remove the key that `fallback arm` kept',
    load: async () => (await import('./commands/arm.ts')).disarmCommand,
  },
  {
    name: 'watch',
    group: 'fallback',
    summary: 'look whether the main server lives; tell by mail, and take over when told to. A timer runs it',
    load: async () => (await import('./commands/watch.ts')).watchCommand,
  },
  {
    name: 'serve',
    group: 'fallback',
    summary: 'run the server over a store’s folder',
    load: async () => (await import('./commands/serve.ts')).serveCommand,
  },
  {
    name: 'invite',
    group: 'fallback',
    summary: 'make a one-time pairing code for a main server',
    load: async () => (await import('./commands/invite.ts')).inviteCommand,
  },
  {
    name: 'repositories',
    group: 'fallback',
    summary: 'what the store holds: list, quota, tokens, revoke, grant, drop-key, drop-newest',
    load: async () => (await import('./commands/repositories.ts')).repositoriesFamily,
  },
  {
    name: 'retention',
    group: 'fallback',
    summary: 'which snapshots stay: run, policy, pin, unpin, undelete',
    load: async () => (await import('./commands/retention.ts')).retentionFamily,
  },
  {
    name: 'scrub',
    group: 'fallback',
    summary: 'read everything in the store again and verify it, without a key',
    load: async () => (await import('./commands/scrub.ts')).scrubCommand,
  },
  {
    name: 'alarm',
    group: 'fallback',
    summary: 'tell by mail when no complete snapshot came in time; a timer runs it',
    load: async () => (await import('./commands/alarm.ts')).alarmCommand,
  },
  {
    name: 'setup',
    group: 'both',
    summary: 'write the configuration of this server, and test what it needs',
    load: async () => (await import('./commands/setup.ts')).setupCommand,
  },
  {
    name: 'connect',
    group: 'both',
    summary: 'give a new machine read access, from the recovery sheet alone',
    load: async () => (await import('./commands/connect.ts')).connectCommand,
  },
  {
    name: 'errors',
    group: 'program',
    summary: 'explain the error codes and exit codes',
    load: async () => (await import('./commands/errors.ts')).errorsCommand,
  },
  {
    name: 'completion',
    group: 'program',
    summary: 'print a completion script for bash, zsh or fish',
    load: async () => (await import('./commands/completion.ts')).completionCommand,
  },
];

/** An entry with all that stands behind it. */
export const loadCommand = async (entry: CommandEntry): Promise<CommandSpec | CommandFamily> => ({
  ...entry,
  ...(await entry.load()),
});

/** All commands there are, for the documents and completions that are made from them. */
export const loadCommands = async (): Promise<readonly (CommandSpec | CommandFamily)[]> =>
  await Promise.all(commandEntries.map(loadCommand));
