// fallback repositories …: what a store holds, who may use it, and how much it may take.
import { toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { TokenRecord } from '../../store/repository-document.ts';
import { type CommandSpec, type FamilyBody, flagOption, type Invocation, textOption } from '../command-spec.ts';
import { namedRepositories, pickRepository, withStore } from '../open-repository.ts';
import { parseSizeBytes, parseWhole } from '../parse-values.ts';
import { absolutePath, jsonOption, storeOption } from '../shared-options.ts';
import { showAge, showBytes, showText, showTime } from '../show.ts';
import { layTable } from '../table.ts';
import { requireNoSheet, writeSheet } from '../write-sheet.ts';

const noneOption = flagOption('--none', 'no quota');
const tokenFileOption = textOption('--token-file <file>', 'a new file for the token, readable by its owner only', {
  completion: 'file',
});
const labelOption = textOption('--label <text>', 'what the token is called, for people', {
  absent: 'push',
  completion: 'none',
});

async function runList(invocation: Invocation): Promise<undefined> {
  const { output, world } = invocation;
  return await withStore(invocation, async (store) => {
    const rows: string[][] = [];
    for (const { repository, status } of await namedRepositories(store)) {
      const { present, lost, holed, ...rest } = status;
      output.json({ ...rest, packs: present.size, packsLost: lost.toText(), packsHoled: holed.toText() });
      const { lastCompleteAtMs, quotaBytes } = status;
      const tokens = await store.tokens(repository.repositoryId);
      rows.push([
        showText(status.name),
        status.repositoryId.slice(0, 8),
        String(status.head?.number ?? '-'),
        lastCompleteAtMs === undefined ? 'never' : showAge(lastCompleteAtMs, world.nowMs()),
        showBytes(status.storedBytes),
        quotaBytes === undefined ? '-' : showBytes(quotaBytes),
        String(tokens.length),
        lost.isEmpty && holed.isEmpty ? 'sound' : 'DAMAGED',
      ]);
    }
    if (rows.length === 0) output.line('The store holds no repository yet. Make a pairing code: fallback invite');
    else {
      const columns = [
        { title: 'NAME' },
        { title: 'ID' },
        { title: 'NEWEST', right: true },
        { title: 'LAST COMPLETE', right: true },
        { title: 'STORED', right: true },
        { title: 'QUOTA', right: true },
        { title: 'TOKENS', right: true },
        { title: 'STATE' },
      ];
      output.lines(layTable(columns, rows));
    }
    return undefined;
  });
}

async function runQuota(invocation: Invocation): Promise<undefined> {
  const { output, args } = invocation;
  const [name = '', size] = args;
  const isNone = invocation.get(noneOption) !== undefined;
  if (isNone && size !== undefined)
    throw new FallbackError('USAGE', 'A size and --none contradict each other. Nothing was changed.');
  const quota = size === undefined ? undefined : parseSizeBytes(size);
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), name);
    const settings = await store.settings(repository.repositoryId);
    const isChanged = isNone || quota !== undefined;
    if (isChanged) await store.changeSettings(repository.repositoryId, { ...settings, quotaBytes: quota });
    const now = isChanged ? quota : settings.quotaBytes;
    output.line(
      `${showText(status.name)}: ${showBytes(status.storedBytes)} stored, ${now === undefined ? 'no quota' : `quota ${showBytes(now)}`}.`,
    );
    output.json({
      repositoryId: repository.repositoryId,
      name: status.name,
      storedBytes: status.storedBytes,
      quotaBytes: now,
    });
    return undefined;
  });
}

const shortToken = ({ sha256 }: TokenRecord): string => sha256.slice(0, 12);

async function runTokens(invocation: Invocation): Promise<undefined> {
  const { output, args } = invocation;
  return await withStore(invocation, async (store) => {
    const { repository } = pickRepository(await namedRepositories(store), args[0]);
    const tokens = await store.tokens(repository.repositoryId);
    for (const token of tokens) output.json(token);
    const rows = tokens.map((token) => [
      shortToken(token),
      showText(token.label),
      token.scopes.join(', '),
      showTime(token.createdAtMs),
    ]);
    output.lines(layTable([{ title: 'TOKEN' }, { title: 'LABEL' }, { title: 'MAY' }, { title: 'MADE' }], rows));
    return undefined;
  });
}

async function runRevoke(invocation: Invocation): Promise<undefined> {
  const { output, args } = invocation;
  const [name = '', wanted = ''] = args;
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), name);
    const tokens = await store.tokens(repository.repositoryId);
    const found = wanted.length < 6 ? [] : tokens.filter(({ sha256 }) => sha256.startsWith(wanted.toLowerCase()));
    const [token, ...more] = found;
    if (token === undefined || more.length > 0) {
      throw new FallbackError(
        'NOT_FOUND',
        `${JSON.stringify(wanted)} means no token, or several. Nothing was revoked.`,
        {
          hint: 'Give at least six digits of the token, as `fallback repositories tokens` shows it.',
        },
      );
    }
    await store.revokeToken(repository.repositoryId, token.sha256);
    output.line(`The token ${shortToken(token)} (${token.scopes.join(', ')}) opens ${showText(status.name)} no more.`);
    if (token.scopes.includes('push')) {
      output.line('A machine that had it pushes no more: give it a new one with fallback repositories grant.');
    } else {
      output.line(
        'Machines with the recovery sheet cannot read over the network any more; this folder stays readable with --dir.',
      );
    }
    output.json({ repositoryId: repository.repositoryId, revoked: token.sha256 });
    return undefined;
  });
}

async function runGrant(invocation: Invocation): Promise<undefined> {
  const { output, world, args } = invocation;
  const file = invocation.get(tokenFileOption);
  if (file === undefined) {
    throw new FallbackError('USAGE', 'The token needs a file: it is never printed.', {
      hint: 'Add --token-file FILE.',
    });
  }
  const path = absolutePath(world, file);
  await requireNoSheet(world, path);
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), args[0]);
    const token = world.randomBytes(32);
    await writeSheet(world, path, [toHex(token)]);
    const label = invocation.get(labelOption) ?? 'push';
    await store.addToken(repository.repositoryId, token, ['read', 'push'], label);
    output.line(
      `${path} holds a token that may push to ${showText(status.name)}. Take it to the new main server, then type there:`,
    );
    output.line('fallback connect … --push-token-file FILE   (with the address and fingerprint of the recovery sheet)');
    output.json({ repositoryId: repository.repositoryId, name: status.name, file: path, label });
    return undefined;
  });
}

async function runDropKey(invocation: Invocation): Promise<undefined> {
  const { output, args } = invocation;
  const { dropKeyDocument } = await import('../../store/remove-forged.ts');
  const number = parseWhole(1, 2 ** 32 - 1)(args[1] ?? '');
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), args[0]);
    const { readKeyDocuments, sharedSlots } = await import('../../sync/pair/key-documents.ts');
    const before = await readKeyDocuments(repository, 'without damaged ones');
    await dropKeyDocument(repository, number);
    const shared = sharedSlots(before, number);
    const gone = shared.length === 0 ? ': its passphrase and phrase open nothing more here.' : '.';
    output.line(`Key document ${number} of ${showText(status.name)} is dropped${gone}`);
    for (const { what, numbers } of shared)
      output.line(
        `Its ${what} still opens key document ${numbers.join(', ')}: drop that too, if it is in wrong hands.`,
      );
    output.json({ repositoryId: repository.repositoryId, dropped: number, stillOpening: shared });
    return undefined;
  });
}

async function runDropNewest(invocation: Invocation): Promise<undefined> {
  const { output, args } = invocation;
  const { dropNewestSnapshot } = await import('../../store/remove-forged.ts');
  const number = parseWhole(1, 2 ** 32 - 1)(args[1] ?? '');
  return await withStore(invocation, async (store) => {
    const { repository, status } = pickRepository(await namedRepositories(store), args[0]);
    await dropNewestSnapshot(repository, number);
    output.line(
      `Snapshot ${number} of ${showText(status.name)} is dropped. Revoke the token that made it, if you have not yet.`,
    );
    output.json({ repositoryId: repository.repositoryId, dropped: number });
    return undefined;
  });
}

const nameArgument = { syntax: '<repository>', description: 'its name or id', completion: 'none' } as const;

const commands: readonly CommandSpec[] = [
  {
    name: 'list',
    group: 'fallback',
    summary: 'list the repositories (the default)',
    description: ['Name, newest snapshot, age of the last complete one, space, quota, tokens, damage.'],
    options: [storeOption, jsonOption],
    examples: [['fallback repositories --dir /srv/fallback', 'what is here']],
    json: [
      'A line for each repository: `repositoryId`, `name`, `epoch`, `generation`, `head`, `lastPack`, `healRevision`, `storedBytes`, `quotaBytes`, ' +
        '`freeBytes`, `leaseHolder`, `lastCompleteAtMs`, `serverTimeMs`, `packs`, `packsLost`, `packsHoled`.',
    ],
    run: runList,
  },
  {
    name: 'quota',
    group: 'fallback',
    summary: 'show or set how much a repository may store',
    description: ['A push beyond the quota is refused; what is stored stays.'],
    arguments: [nameArgument, { syntax: '[size]', description: 'such as 500GB', completion: 'none' }],
    options: [storeOption, noneOption, jsonOption],
    examples: [['fallback repositories quota main.example.org 500GB --dir /srv/fallback', 'at most 500 GB']],
    json: ['One object: `repositoryId`, `name`, `storedBytes`, `quotaBytes` (absent: none).'],
    run: runQuota,
  },
  {
    name: 'tokens',
    group: 'fallback',
    summary: 'list who may use a repository over the network',
    description: ['Tokens are shown by the start of their hash: the server does not know the tokens themselves.'],
    arguments: [nameArgument],
    options: [storeOption, jsonOption],
    examples: [['fallback repositories tokens main.example.org --dir /srv/fallback', 'all tokens']],
    json: ['A line for each token: `sha256`, `scopes`, `label`, `createdAtMs`.'],
    run: runTokens,
  },
  {
    name: 'revoke',
    group: 'fallback',
    summary: 'end a token’s access, at once',
    description: ['For a main server that was stolen or broken into.'],
    arguments: [
      nameArgument,
      { syntax: '<token>', description: 'at least six digits of its hash', completion: 'none' },
    ],
    options: [storeOption, jsonOption],
    examples: [
      ['fallback repositories revoke main.example.org 4f2a91bc --dir /srv/fallback', 'that token opens nothing more'],
    ],
    json: ['One object: `repositoryId`, `revoked` (the hash).'],
    run: runRevoke,
  },
  {
    name: 'grant',
    group: 'fallback',
    summary: 'make a new push token for an existing repository',
    description: [
      'For a main server that was set up anew: it reads with the recovery sheet, and pushes with this token.',
    ],
    arguments: [nameArgument],
    options: [storeOption, tokenFileOption, labelOption, jsonOption],
    examples: [
      ['fallback repositories grant main.example.org --token-file token.txt --dir /srv/fallback', 'a token in a file'],
    ],
    json: ['One object: `repositoryId`, `name`, `file`, `label`. The token is in the file only.'],
    run: runGrant,
  },
  {
    name: 'drop-key',
    group: 'fallback',
    summary: 'drop a key document: an old recovery sheet or passphrase, or one that a thief added',
    description: [
      'A changed passphrase or phrase leaves the old key document in the store, so that nobody who breaks into a main server can lock ' +
        'its owner out. This takes one away for good. The last one always stays.',
    ],
    arguments: [
      nameArgument,
      { syntax: '<number>', description: 'as `fallback key show` tells it', completion: 'none' },
    ],
    options: [storeOption, jsonOption],
    examples: [
      ['fallback repositories drop-key main.example.org 1 --dir /srv/fallback', 'the first sheet opens nothing more'],
    ],
    json: ['One object: `repositoryId`, `dropped`, `stillOpening` (each `what`, `numbers` of key documents).'],
    run: runDropKey,
  },
  {
    name: 'drop-newest',
    group: 'fallback',
    summary: 'drop the newest snapshot, when it is forged',
    description: [
      'For a newest snapshot that no client can open (SEAL_BROKEN), made with a stolen push token. Machines that accepted it would refuse ' +
        'the repository afterwards: never drop a good one this way, that is what retention is for.',
    ],
    arguments: [nameArgument, { syntax: '<number>', description: 'the newest one’s number', completion: 'none' }],
    options: [storeOption, jsonOption],
    examples: [['fallback repositories drop-newest main.example.org 58 --dir /srv/fallback', '57 is the newest again']],
    json: ['One object: `repositoryId`, `dropped`.'],
    run: runDropNewest,
  },
];

export const repositoriesFamily: FamilyBody = {
  description: ['Works beside a running server.'],
  default: 'list',
  commands,
};
