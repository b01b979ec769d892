// fallback init CODE: makes this machine's repository on a fallback server.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { PairingCode } from '../../format/pairing-code.ts';
import type { ClientCredentials } from '../../sync/client-state.ts';
import type { PairingPlace } from '../../sync/pair/init-repository.ts';
import type { PairingRecord } from '../../sync/pair/pairing-record.ts';
import { askLine, canAsk } from '../ask.ts';
import { type CommandBody, flagOption, type Invocation, textOption, valueOption } from '../command-spec.ts';
import { networkEnvironment, openState } from '../open-repository.ts';
import { parseChoice, showHostPort } from '../parse-values.ts';
import { connectCommand, layRecoverySheet, type RecoverySheet } from '../recovery-sheet.ts';
import { obtainNewPassphrase, readSecret } from '../secrets.ts';
import { absolutePath, jsonOption, passphraseFileOption, stateOption } from '../shared-options.ts';
import { requireNoSheet, writeSheet } from '../write-sheet.ts';

const engines = ['fallback', 'fastcdc-wasm'] as const;

const sheetOption = textOption(
  '--sheet <file>',
  'write the recovery sheet to a new file that only its owner may read',
  {
    completion: 'file',
  },
);
const noPassphraseOption = flagOption(
  '--no-passphrase',
  'set no passphrase: the recovery sheet alone opens the repository',
);
const noEncryptionOption = flagOption(
  '--no-encryption',
  'keep the key in the clear on the fallback server: whoever has its disk reads everything',
);
const chunkerOption = valueOption('--chunker <engine>', 'how archives are cut', parseChoice(engines), {
  absent: 'fallback',
  completion: engines,
});
const codeFileOption = textOption('--code-file <file>', 'read the code from a file, or from stdin (-)', {
  completion: 'file',
});

async function readCode(invocation: Invocation): Promise<PairingCode> {
  const { decodePairingCode } = await import('../../format/pairing-code.ts');
  const file = invocation.get(codeFileOption);
  const typed = invocation.args.join('');
  if (file !== undefined && typed !== '') {
    throw new FallbackError('USAGE', 'The pairing code is given twice.', {
      hint: 'Give CODE or --code-file, not both.',
    });
  }
  if (file !== undefined) return decodePairingCode(await readSecret(invocation.world, file, 'pairing code'));
  if (typed !== '') return decodePairingCode(typed);
  throw new FallbackError('USAGE', 'The pairing code is missing.', {
    hint: 'Make one on the fallback server with `fallback invite`, then type here: fallback init CODE',
  });
}

/** The record of this pairing: one that was begun and cut off, or a new one. */
async function obtainRecord(invocation: Invocation, place: PairingPlace, code: PairingCode): Promise<PairingRecord> {
  const { beginPairing, findBegunPairing, hasPassphrase } = await import('../../sync/pair/init-repository.ts');
  const begun = await findBegunPairing(place, code);
  if (begun !== undefined) {
    const isGiven = invocation.get(passphraseFileOption) !== undefined;
    const passphrase = isGiven ? await obtainNewPassphrase(invocation, false) : undefined;
    if (passphrase !== undefined && !hasPassphrase(begun, passphrase)) {
      throw new FallbackError('USAGE', 'This pairing was begun before with another passphrase. Nothing was changed.', {
        hint: 'Use that passphrase and change it afterwards with `fallback key passphrase`, or begin anew with a new code.',
      });
    }
    await requireSameWishes(invocation, begun);
    invocation.output.note('fallback: this pairing was begun before; going on with its keys.');
    return begun;
  }
  const isEncrypted = invocation.get(noEncryptionOption) === undefined;
  const wantsNone = invocation.get(noPassphraseOption) !== undefined;
  if ((wantsNone || !isEncrypted) && invocation.get(passphraseFileOption) !== undefined) {
    const option = wantsNone ? '--no-passphrase' : '--no-encryption';
    throw new FallbackError('USAGE', `${option} and --passphrase-file contradict each other. Nothing was changed.`);
  }
  const passphrase = isEncrypted && !wantsNone ? await obtainNewPassphrase(invocation, true) : undefined;
  const engine = invocation.get(chunkerOption) ?? 'fallback';
  return await beginPairing(place, code, { passphrase, isEncrypted, engine });
}

/** A pairing that goes on keeps what it was begun with: other wishes must not be passed over. @throws USAGE. */
async function requireSameWishes(invocation: Invocation, record: PairingRecord): Promise<void> {
  const { facetsOf } = await import('../../sync/pair/init-repository.ts');
  const { isEncrypted, hasPassphrase, engine } = facetsOf(record);
  const wanted = invocation.get(chunkerOption);
  const other = (was: string): FallbackError =>
    new FallbackError('USAGE', `This pairing was begun before ${was}. Nothing was changed.`, {
      hint: 'Type the command as it was then, or begin anew with a new code from `fallback invite`.',
    });
  const wantsClear = invocation.get(noEncryptionOption) !== undefined;
  if (isEncrypted === wantsClear) throw other(isEncrypted ? 'with encryption' : 'with --no-encryption');
  if (hasPassphrase && invocation.get(noPassphraseOption) !== undefined) throw other('with a passphrase');
  if (wanted !== undefined && wanted !== engine) throw other(`with --chunker ${engine}`);
}

async function makeSheet(
  invocation: Invocation,
  record: PairingRecord,
  { address }: ClientCredentials,
): Promise<RecoverySheet> {
  const [{ decodeKeyDocument }, { phraseLabel }, { phraseFromEntropy }] = await Promise.all([
    import('../../format/key-document.ts'),
    import('../../sync/pair/key-documents.ts'),
    import('../../sync/pair/phrase-words.ts'),
  ]);
  const { slots } = decodeKeyDocument(record.keyDocument);
  const phraseSlot = slots.find((slot) => slot.type === 'phrase');
  return {
    repositoryName: address.name,
    repositoryId: address.repositoryId,
    hostName: invocation.world.hostName,
    address: showHostPort(address),
    certificateSha256: address.certificateSha256,
    phrase: phraseFromEntropy(record.phraseEntropy),
    phraseLabel: phraseSlot === undefined ? '' : phraseLabel(phraseSlot),
    isEncrypted: !slots.some((slot) => slot.type === 'clear'),
    madeAtMs: invocation.world.nowMs(),
  };
}

async function run(invocation: Invocation): Promise<undefined> {
  const { world, output } = invocation;
  if (output.mode.json && invocation.get(sheetOption) === undefined) {
    throw new FallbackError('USAGE', 'With --json the recovery sheet needs a file: it is never printed as JSON.', {
      hint: 'Add --sheet FILE.',
    });
  }
  const code = await readCode(invocation);
  const sheetFile = invocation.get(sheetOption);
  const sheetPath = sheetFile === undefined ? undefined : absolutePath(world, sheetFile);
  if (sheetPath !== undefined) await requireNoSheet(world, sheetPath);
  const [{ completePairing, finishPairing }, { pairWithServer }] = await Promise.all([
    import('../../sync/pair/init-repository.ts'),
    import('../../sync/http/pair-with-server.ts'),
  ]);
  const state = await openState(invocation);
  const place: PairingPlace = { state, fs: world.fs, environment: world };
  const lock = await state.lock('init', () => world.nowMs());
  try {
    const record = await obtainRecord(invocation, place, code);
    const credentials = await completePairing(place, code, record, (pairingCode, request) =>
      pairWithServer(pairingCode, request, networkEnvironment(world)),
    );
    const sheet = await makeSheet(invocation, record, credentials);
    await handOver(invocation, sheet, sheetPath);
    await finishPairing(place);
    output.json({
      repositoryId: sheet.repositoryId,
      name: sheet.repositoryName,
      address: sheet.address,
      certificateSha256: sheet.certificateSha256,
      encrypted: sheet.isEncrypted,
      state: state.folder,
      sheet: sheetPath,
      connect: connectCommand(sheet),
    });
  } finally {
    lock.release();
  }
  return undefined;
}

/** The sheet is out before the phrase is forgotten. */
async function handOver(invocation: Invocation, sheet: RecoverySheet, path: string | undefined): Promise<void> {
  const { world, output } = invocation;
  if (path !== undefined) {
    await writeSheet(world, path, layRecoverySheet(sheet));
    output.line(`Paired with ${sheet.address} as ${sheet.repositoryName}. The recovery sheet is in ${path}.`);
    output.line('Print it or copy it by hand, keep it away from both servers, then remove the file.');
  } else {
    output.lines(layRecoverySheet(sheet));
    await output.flushSurely(
      'The recovery sheet',
      'Type the same command again, with --sheet FILE: it goes on with the same keys.',
    );
  }
  if (canAsk(world) && path === undefined) {
    await askLine(world, '\nWrite it down or print it now. Then press Enter: ', invocation.signal);
  }
  output.line();
  output.line('Next: fallback push FILE.tar … or a folder of archives.');
}

export const initCommand: CommandBody = {
  description: [
    'Uses up a pairing code from `fallback invite`. The keys are made on this machine: the fallback server never sees them. ' +
      'A passphrase is recommended beside the recovery sheet; it is asked for on a terminal, or comes from a file.',
    'After a lost connection or a crash, type the same command with the same code again: it goes on with the same keys.',
  ],
  arguments: [{ syntax: '[code...]', description: 'the pairing code; spaces in it do not matter', completion: 'none' }],
  options: [
    stateOption,
    passphraseFileOption,
    noPassphraseOption,
    sheetOption,
    codeFileOption,
    noEncryptionOption,
    chunkerOption,
    jsonOption,
  ],
  examples: [
    ['fallback init fallback1abcd…', 'pair, choose a passphrase, read the recovery sheet'],
    ['fallback init --code-file code.txt --passphrase-file pass.txt --sheet sheet.txt', 'without a terminal'],
  ],
  json: [
    'One object: `repositoryId`, `name`, `address`, `certificateSha256` (absent with an ordinary web certificate), `encrypted`, ' +
      '`state`, `sheet` (the file), `connect` (the command for a new machine). The recovery phrase is in the sheet’s file only.',
  ],
  run,
};
