// fallback key …: the ways into the repository. Each change is a new key document; nothing is encrypted anew.

import { FallbackError } from '../../errors/fallback-error.ts';
import type { KeyDocument, KeySlot } from '../../format/key-document.ts';
import type { ClientCredentials } from '../../sync/client-state.ts';
import type { HttpRepository } from '../../sync/http/http-repository.ts';
import type { KeyChange } from '../../sync/pair/key-documents.ts';
import { askLine, canAsk } from '../ask.ts';
import { type CommandSpec, type FamilyBody, flagOption, type Invocation, textOption } from '../command-spec.ts';
import { openForPush, withRepository } from '../open-repository.ts';
import { showHostPort } from '../parse-values.ts';
import { layRecoverySheet, type RecoverySheet } from '../recovery-sheet.ts';
import { obtainNewPassphrase } from '../secrets.ts';
import {
  absolutePath,
  jsonOption,
  keyDocumentOption,
  passphraseFileOption,
  readingOptions,
  stateOption,
} from '../shared-options.ts';
import { layTable } from '../table.ts';
import { requireNoSheet, writeSheet } from '../write-sheet.ts';

const removeOption = flagOption(
  '--remove',
  'take the passphrase away: the recovery sheet alone opens the repository then',
);
const sheetOption = textOption(
  '--sheet <file>',
  'write the recovery sheet to a new file that only its owner may read',
  {
    completion: 'file',
  },
);

/** What a change does not do is said each time: it is what people get wrong. THREAT-MODEL.md, Keys. */
const truth = (repositoryName: string): readonly string[] => [
  'No data was encrypted anew. The old one still opens the older key documents that it stands in, for whoever asks for',
  'one by its number (--key-document; fallback key show lists them), until it is dropped on the fallback server:',
  `    fallback repositories drop-key ${repositoryName} NUMBER`,
  'Whoever opened the repository before still can. If the old one is in wrong hands, make a new repository: a new',
  'pairing code, then fallback init.',
];

/** What was taken over from the newest document: somebody with a stolen push token may have added that one. */
async function keptSheets({ slots }: KeyDocument): Promise<readonly string[]> {
  const { phraseLabel } = await import('../../sync/pair/key-documents.ts');
  const labels = slots.flatMap((slot) => (slot.type === 'phrase' ? [phraseLabel(slot)] : []));
  if (labels.length === 0) return [];
  return [
    `The recovery sheet labelled ${labels.join(', ')} opens it too. If yours has another label, drop no older document: make a new`,
    'sheet (fallback key recovery), and find out who added the other one.',
  ];
}

/** A key beside a door that stands open. */
const clearWarning =
  'This repository is NOT encrypted: its secret stays in the clear on the fallback server, whatever opens it besides.';

interface Changed {
  readonly document: KeyDocument;
  readonly credentials: ClientCredentials;
}

/** Adds a key document to this machine's repository, under the machine's lock. */
async function change(
  invocation: Invocation,
  make: (repository: HttpRepository) => Promise<KeyChange>,
  beforeSent?: (document: KeyDocument, credentials: ClientCredentials) => Promise<void>,
): Promise<Changed> {
  const { world } = invocation;
  const { opened, state, credentials } = await openForPush(invocation);
  try {
    const lock = await state.lock('key', () => world.nowMs());
    try {
      const { changeKeys } = await import('../../sync/pair/key-documents.ts');
      const { repository } = opened.session;
      const wanted = await make(repository);
      const { secret } = credentials;
      const randomBytes = (count: number) => world.randomBytes(count);
      const before = async (made: KeyDocument) => await beforeSent?.(made, credentials);
      const document = await changeKeys(repository, secret, wanted, randomBytes, before);
      return { document, credentials };
    } finally {
      lock.release();
    }
  } finally {
    await opened.close();
  }
}

/** Each document counts towards the few that a repository keeps: one that changes nothing is not made. @throws NOT_FOUND. */
async function requirePassphrase(repository: HttpRepository): Promise<void> {
  const { chooseKeyDocument, readKeyDocuments } = await import('../../sync/pair/key-documents.ts');
  const { slots } = chooseKeyDocument(await readKeyDocuments(repository), repository.repositoryId);
  if (slots.some(({ type }) => type === 'passphrase')) return;
  throw new FallbackError('NOT_FOUND', 'The repository has no passphrase. Nothing was changed.', {
    hint: 'fallback key show lists what opens it.',
  });
}

async function runPassphrase(invocation: Invocation): Promise<undefined> {
  const { output } = invocation;
  const isRemoved = invocation.get(removeOption) !== undefined;
  if (isRemoved && invocation.get(passphraseFileOption) !== undefined) {
    throw new FallbackError('USAGE', '--remove and --passphrase-file contradict each other. Nothing was changed.');
  }
  const { document, credentials } = await change(invocation, async (repository) => {
    if (isRemoved) await requirePassphrase(repository);
    return { passphrase: isRemoved ? null : ((await obtainNewPassphrase(invocation, false)) ?? null) };
  });
  output.line(
    isRemoved
      ? `The passphrase is gone (key document ${document.number}): the recovery sheet alone opens the repository.`
      : `The new passphrase is in force (key document ${document.number}).`,
  );
  output.lines(await keptSheets(document));
  output.lines(truth(credentials.address.name));
  if (document.slots.some(({ type }) => type === 'clear')) output.warn(clearWarning);
  output.json(await encodeDocument(document));
  return undefined;
}

async function runRecovery(invocation: Invocation): Promise<undefined> {
  const { world, output } = invocation;
  const file = invocation.get(sheetOption);
  const path = file === undefined ? undefined : absolutePath(world, file);
  if (path !== undefined) await requireNoSheet(world, path);
  if (path === undefined && output.mode.json) {
    throw new FallbackError('USAGE', 'With --json the recovery sheet needs a file: it is never printed as JSON.', {
      hint: 'Add --sheet FILE.',
    });
  }
  const { makeRecoveryPhrase, parseRecoveryPhrase } = await import('../../crypto/recovery-phrase.ts');
  const phrase = makeRecoveryPhrase((count) => world.randomBytes(count));
  let isHandedOut = false;
  // The sheet first: a phrase that is in force and stands nowhere would open nothing for anybody.
  const handOut = async (document: KeyDocument, { address }: ClientCredentials): Promise<void> => {
    const lines = layRecoverySheet(await sheetOf(invocation, document, address, phrase));
    if (path === undefined) {
      output.lines([...lines, '']);
      await output.flushSurely(
        'The new recovery sheet',
        'Nothing was changed: the old sheet is in force. Use --sheet FILE.',
      );
      if (canAsk(world)) await askLine(world, 'Write it down or print it now. Then press Enter: ', invocation.signal);
    } else {
      await writeSheet(world, path, lines);
      output.line(`The new recovery sheet is in ${path}. Print it or copy it by hand, then remove the file.`);
    }
    isHandedOut = true;
  };
  let changed: Changed;
  try {
    changed = await change(invocation, async () => ({ phraseEntropy: parseRecoveryPhrase(phrase) }), handOut);
  } catch (error) {
    if (isHandedOut) output.warn('Keep both sheets: `fallback key show` names the one that is in force by its label.');
    throw error;
  }
  const { document, credentials } = changed;
  output.line(`It is in force (key document ${document.number}). Destroy the old sheet.`);
  output.lines(truth(credentials.address.name));
  output.json({ ...(await encodeDocument(document)), sheet: path });
  return undefined;
}

async function sheetOf(
  { world }: Invocation,
  { slots }: KeyDocument,
  address: ClientCredentials['address'],
  phrase: string,
): Promise<RecoverySheet> {
  const { phraseLabel } = await import('../../sync/pair/key-documents.ts');
  const slot = slots.find(({ type }) => type === 'phrase');
  return {
    repositoryName: address.name,
    repositoryId: address.repositoryId,
    hostName: world.hostName,
    address: showHostPort(address),
    certificateSha256: address.certificateSha256,
    phrase,
    phraseLabel: slot?.type === 'phrase' ? phraseLabel(slot) : '',
    isEncrypted: !slots.some(({ type }) => type === 'clear'),
    madeAtMs: world.nowMs(),
  };
}

async function describeSlot(slot: KeySlot): Promise<string> {
  if (slot.type === 'clear') return 'NO KEY NEEDED: the secret stands in the clear';
  if (slot.type === 'phrase') {
    const { phraseLabel } = await import('../../sync/pair/key-documents.ts');
    return `recovery phrase ${phraseLabel(slot)}`;
  }
  const { memoryKiB, passes, lanes } = slot.cost;
  return `passphrase (argon2id, ${memoryKiB / 1024} MiB, ${passes} passes, ${lanes} lanes)`;
}

async function encodeDocument({ number, slots }: KeyDocument): Promise<object> {
  const { phraseLabel } = await import('../../sync/pair/key-documents.ts');
  return {
    number,
    slots: slots.map((slot) => ({
      type: slot.type,
      ...(slot.type === 'passphrase' ? { argon2id: slot.cost } : {}),
      ...(slot.type === 'phrase' ? { label: phraseLabel(slot) } : {}),
    })),
  };
}

async function runShow(invocation: Invocation): Promise<undefined> {
  const { output } = invocation;
  return await withRepository(invocation, async ({ session }) => {
    const { chooseKeyDocument, readKeyDocuments } = await import('../../sync/pair/key-documents.ts');
    const stored = await readKeyDocuments(session.repository);
    const numbers = stored.map(({ number }) => number).sort((a, b) => a - b);
    const wanted = invocation.get(keyDocumentOption);
    const shown = wanted === undefined ? numbers : [wanted];
    const rows: string[][] = [];
    for (const number of shown) {
      const document = chooseKeyDocument(stored, session.repository.repositoryId, number);
      const isInForce = number === numbers.at(-1);
      output.json({ ...(await encodeDocument(document)), inForce: isInForce });
      for (const [index, slot] of document.slots.entries()) {
        rows.push([
          index === 0 ? String(number) : '',
          index === 0 ? (isInForce ? 'in force' : 'replaced') : '',
          await describeSlot(slot),
        ]);
      }
    }
    output.lines(layTable([{ title: 'DOCUMENT', right: true }, { title: 'STATE' }, { title: 'OPENS WITH' }], rows));
    return undefined;
  });
}

const passphraseCommand: CommandSpec = {
  name: 'passphrase',
  group: 'main',
  summary: 'set, change or remove the passphrase',
  description: [
    'The old passphrase is not needed: this machine has the key. Nothing is encrypted anew, and what was replaced still opens ' +
      'older key documents: the command says what that means.',
  ],
  options: [passphraseFileOption, removeOption, stateOption, jsonOption],
  examples: [
    ['fallback key passphrase', 'asks for the new passphrase twice'],
    ['fallback key passphrase --passphrase-file new.txt', 'without a terminal'],
  ],
  json: [
    'One object: the new key document’s `number` and `slots` (each `type`, with `label` of a phrase, `argon2id` of a passphrase).',
  ],
  run: runPassphrase,
};

const recoveryCommand: CommandSpec = {
  name: 'recovery',
  group: 'main',
  summary: 'make a new recovery phrase, and print a new recovery sheet',
  description: [
    'For a lost sheet, or a regular change. The new phrase is in force at once; the passphrase stays as it is.',
  ],
  options: [sheetOption, stateOption, jsonOption],
  examples: [
    ['fallback key recovery', 'prints the sheet'],
    ['fallback key recovery --sheet sheet.txt', 'writes it to a file'],
  ],
  json: ['One object: the new key document’s `number` and `slots`, and `sheet` (the file).'],
  run: runRecovery,
};

const showCommand: CommandSpec = {
  name: 'show',
  group: 'main',
  summary: 'show what opens the repository',
  description: ['Compare the recovery phrase’s short name with the one on your sheet. No secret is shown.'],
  options: [...readingOptions, jsonOption],
  examples: [['fallback key show', 'every key document, the one in force last']],
  json: ['A line for each key document: `number`, `slots`, `inForce`.'],
  run: runShow,
};

export const keyFamily: FamilyBody = {
  description: ['The ways into the repository.'],
  commands: [passphraseCommand, recoveryCommand, showCommand],
};
