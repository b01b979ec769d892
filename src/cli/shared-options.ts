// Options that several commands share.
import { join } from 'node:path';
import { flagOption, type Invocation, textOption, valueOption } from './command-spec.ts';
import { parseWhole } from './parse-values.ts';
import type { World } from './world.ts';

export const jsonOption = flagOption('--json', 'print JSON for machines instead of text (docs/COMMANDS.md)');
export const quietOption = flagOption('-q, --quiet', 'print nothing but warnings and errors');

export const stateOption = textOption('--state <folder>', 'this machine’s own folder of fallback', {
  variable: 'FALLBACK_STATE',
  absent: '/var/lib/fallback for root, else ~/.local/state/fallback',
  completion: 'folder',
});

export const storeOption = textOption('--dir <folder>', 'the store’s folder', {
  variable: 'FALLBACK_DIR',
  absent: 'store.folder of /etc/fallback/config.toml',
  completion: 'folder',
});

export const readFolderOption = textOption(
  '--dir <folder>',
  'read a store’s folder on this machine, without its server',
  {
    completion: 'folder',
  },
);

export const repositoryOption = textOption('--repository <name>', 'a repository’s name or id', {
  absent: 'the only one there is',
  completion: 'none',
});

export const passphraseFileOption = textOption(
  '--passphrase-file <file>',
  'read the passphrase from a file that only its owner may read, or from stdin (-)',
  { completion: 'file' },
);

export const phraseFileOption = textOption(
  '--phrase-file <file>',
  'read the recovery phrase from a file that only its owner may read, or from stdin (-)',
  { completion: 'file' },
);

/** Never taken for granted: whoever can write a store could add a key in the clear, of a repository that he has forged. */
export const noEncryptionOption = flagOption(
  '--no-encryption',
  'the repository was made so: open a store’s folder by the key that stands there in the clear',
);

export const keyDocumentOption = valueOption(
  '--key-document <number>',
  'try an older key document instead of the newest',
  parseWhole(1, 2 ** 32 - 1),
  { completion: 'none' },
);

export const uploadLimitOption = valueOption(
  '--limit-upload <kib/s>',
  'send at most so many KiB (1024 bytes) a second',
  parseWhole(1, 2 ** 32),
  { completion: 'none' },
);

export const downloadLimitOption = valueOption(
  '--limit-download <kib/s>',
  'receive at most so many KiB (1024 bytes) a second',
  parseWhole(1, 2 ** 32),
  { completion: 'none' },
);

/** What every command that reads a repository takes. */
export const readingOptions = [
  stateOption,
  readFolderOption,
  repositoryOption,
  passphraseFileOption,
  phraseFileOption,
  noEncryptionOption,
  keyDocumentOption,
  downloadLimitOption,
] as const;

/** The folder of --state, FALLBACK_STATE, or the user's own. */
export function stateFolder(invocation: Invocation): string {
  return absolutePath(invocation.world, invocation.get(stateOption) ?? defaultStateFolder(invocation.world));
}

function defaultStateFolder(world: World): string {
  if (world.userId === 0) return '/var/lib/fallback';
  const base = world.environment['XDG_STATE_HOME'];
  return join(base?.startsWith('/') ? base : join(world.homeFolder, '.local', 'state'), 'fallback');
}

/** A path as typed, made absolute. */
export function absolutePath(world: World, path: string): string {
  return path.startsWith('/') ? path : join(world.currentFolder, path);
}
