// Passphrases and recovery phrases: from a file, from stdin, or asked for without echo. Never from the command line.
import { FallbackError } from '../errors/fallback-error.ts';
import { readSecretFile } from '../fs/read-secret-file.ts';
import { askSecret, canAsk } from './ask.ts';
import type { Invocation } from './command-spec.ts';
import { absolutePath, passphraseFileOption, phraseFileOption } from './shared-options.ts';
import type { World } from './world.ts';

const secretBytesMax = 4096;
const asksMax = 3;

async function readStdin(world: World): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of world.stdin) {
    const part = Buffer.from(chunk);
    bytes += part.byteLength;
    if (bytes > secretBytesMax) throw new FallbackError('USAGE', 'What stdin brings is too long for a secret.');
    chunks.push(part);
  }
  return Buffer.concat(chunks);
}

/** The secret in a file, or on stdin for `-`, without its line end. @throws SECRET_FILE_UNSAFE, NOT_FOUND, USAGE. */
export async function readSecret(world: World, path: string, what: string): Promise<string> {
  const bytes = path === '-' ? await readStdin(world) : await readSecretFile(absolutePath(world, path), secretBytesMax);
  const text = Buffer.from(bytes)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  if (text === '') throw new FallbackError('USAGE', `The ${what} in ${path === '-' ? 'stdin' : path} is empty.`);
  // A second line would become part of a passphrase that nobody types that way.
  if (/[\r\n]/.test(text.trimEnd()) && what === 'passphrase') {
    throw new FallbackError('USAGE', `The ${what} file has more than one line.`);
  }
  return text;
}

/** @throws USAGE when both options want stdin. */
export function requireOneStdin(invocation: Invocation): void {
  const both = [passphraseFileOption, phraseFileOption].filter((option) => invocation.get(option) === '-');
  if (both.length > 1) throw new FallbackError('USAGE', 'Only one secret can come from stdin.');
}

function missing(what: string, option: string): FallbackError {
  return new FallbackError('USAGE', `A ${what} is needed, and there is no terminal to ask for it.`, {
    hint: `Give it in a file with ${option} FILE (chmod 600), or on stdin with ${option} -.`,
  });
}

/** The repository's passphrase, from --passphrase-file or asked for. @throws USAGE without a terminal, SECRET_FILE_UNSAFE. */
export async function obtainPassphrase(invocation: Invocation, question = 'Passphrase: '): Promise<string> {
  const { world } = invocation;
  const file = invocation.get(passphraseFileOption);
  if (file !== undefined) return await readSecret(world, file, 'passphrase');
  if (!canAsk(world)) throw missing('passphrase', '--passphrase-file');
  const text = await askSecret(world, question);
  if (text === '') throw new FallbackError('USAGE', 'The passphrase is empty. Nothing was changed.');
  return text;
}

/**
 * A new passphrase: from --passphrase-file, or asked for twice.
 * @param isOptional an empty answer on the terminal means none.
 */
export async function obtainNewPassphrase(invocation: Invocation, isOptional: boolean): Promise<string | undefined> {
  const { world } = invocation;
  const file = invocation.get(passphraseFileOption);
  if (file !== undefined) return await readSecret(world, file, 'passphrase');
  if (!canAsk(world)) throw missing('new passphrase', '--passphrase-file');
  for (let asked = 0; asked < asksMax; asked++) {
    const note = isOptional ? ' (empty for none)' : '';
    const first = await askSecret(world, `New passphrase${note}: `);
    if (first === '' && isOptional) return undefined;
    if (first === '') continue;
    if ((await askSecret(world, 'The same once more: ')) === first) return first;
    world.stderr.write('They differ; once more.\n');
  }
  throw new FallbackError('USAGE', 'No passphrase was chosen. Nothing was changed.');
}

/** The 16 bytes of a recovery phrase, from --phrase-file or asked for; a mistyped word is asked for again. @throws PHRASE_INVALID, USAGE. */
export async function obtainPhrase(invocation: Invocation): Promise<Uint8Array> {
  const { world } = invocation;
  const { parseRecoveryPhrase } = await import('../crypto/recovery-phrase.ts');
  const file = invocation.get(phraseFileOption);
  if (file !== undefined) return parseRecoveryPhrase(stripNumbers(await readSecret(world, file, 'recovery phrase')));
  if (!canAsk(world)) throw missing('recovery phrase', '--phrase-file');
  for (let asked = 1; ; asked++) {
    const text = await askSecret(world, 'Recovery phrase (twelve words, not shown): ');
    try {
      return parseRecoveryPhrase(stripNumbers(text));
    } catch (error) {
      if (asked >= asksMax || !(error instanceof FallbackError)) throw error;
      world.stderr.write(`${error.message} Once more.\n`);
    }
  }
}

/** Words copied from a sheet carry its numbers, `1 abandon  4 about …`: line by line they come in another order than downwards. */
export function stripNumbers(text: string): string {
  const numbered = [...text.matchAll(/(?:^|\s)(\d{1,2})[.)]?\s+(\p{L}+)(?=\s|$)/gu)];
  const words = new Map(numbered.map(([, number, word]) => [Number(number), word]));
  const isWhole = numbered.length === 12 && words.size === 12 && [...words.keys()].every((at) => at >= 1 && at <= 12);
  if (isWhole) return Array.from({ length: 12 }, (_, index) => words.get(index + 1)).join(' ');
  return text.replace(/(^|\s)\d{1,2}[.)]?(?=\s)/g, '$1');
}
