// fallback setup: asks the few questions of a role, tests the answers, writes config.toml.
import { dirname } from 'node:path';
import { FallbackError, isFallbackError } from '../../errors/fallback-error.ts';
import type { Check } from '../../yunohost/configuration/check-machine.ts';
import type { Configuration } from '../../yunohost/configuration/schema.ts';
import { askLine, canAsk } from '../ask.ts';
import { type CommandBody, flagOption, type Invocation, textOption } from '../command-spec.ts';
import { openForPush, openState } from '../open-repository.ts';
import { configOption, configurationPath, openYunohost, withConfiguration } from '../open-yunohost.ts';
import { parseChoice } from '../parse-values.ts';
import { readSecret } from '../secrets.ts';
import { jsonOption, stateOption } from '../shared-options.ts';
import { showBytes, showText } from '../show.ts';

const roles = ['main', 'fallback'] as const;
type Role = (typeof roles)[number];

const answersOption = textOption(
  '--answers <file>',
  'take the answers from a JSON file, or from stdin (-), instead of asking: {"report.mail_to": ["me@example.org"]}',
  { completion: 'file' },
);
const forceOption = flagOption('--force', 'replace a configuration that is there; the old one is kept beside it');

interface Question {
  readonly key: string;
  readonly text: string;
  readonly kind: 'text' | 'list' | 'flag' | 'number';
  readonly roles: readonly Role[];
}

const questions: readonly Question[] = [
  { key: 'store.folder', text: 'Folder of the store', kind: 'text', roles: ['fallback'] },
  {
    key: 'server.own_domain',
    text: 'This server’s own domain (kept reachable after a deploy)',
    kind: 'text',
    roles: ['fallback'],
  },
  { key: 'apps.exclude', text: 'Apps that are not to be covered, apart by commas', kind: 'list', roles: ['main'] },
  {
    key: 'push.method',
    text: 'Method: archive (needs room for the largest) or stream (needs none)',
    kind: 'text',
    roles: ['main'],
  },
  { key: 'push.limit_upload_kib', text: 'Upload at most so many KiB/s (0: no limit)', kind: 'number', roles: ['main'] },
  { key: 'push.window', text: 'Push only between, e.g. 01:00-06:00 (empty: any time)', kind: 'text', roles: ['main'] },
  { key: 'report.mail', text: 'Mail: always, errors, weekly or never', kind: 'text', roles: ['main', 'fallback'] },
  { key: 'report.mail_to', text: 'Mail to, apart by commas', kind: 'list', roles: ['main', 'fallback'] },
  { key: 'report.healthcheck', text: 'Address of a Healthchecks monitor (empty: none)', kind: 'text', roles: ['main'] },
  {
    key: 'alarm.max_age',
    text: 'Alarm when the last complete snapshot is older than',
    kind: 'text',
    roles: ['fallback'],
  },
];

/** What was typed, as TOML. */
function toToml(kind: Question['kind'], typed: string): string {
  if (kind === 'number') return typed;
  if (kind === 'flag') return /^(y|yes|true|1)$/i.test(typed) ? 'true' : 'false';
  if (kind === 'text') return JSON.stringify(typed);
  const items = typed.split(/[\s,]+/).filter((item) => item !== '');
  return JSON.stringify(items);
}

const tomlOf = (value: unknown): string =>
  Array.isArray(value) ? `[${value.map(tomlOf).join(', ')}]` : JSON.stringify(value);

async function readAnswers(invocation: Invocation, file: string): Promise<Map<string, string>> {
  const text = await readSecret(invocation.world, file, 'answers');
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new FallbackError('USAGE', 'The answers are no JSON object. Nothing was changed.');
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new FallbackError('USAGE', 'The answers are no JSON object. Nothing was changed.');
  }
  return new Map(Object.entries(json).map(([key, value]) => [key, tomlOf(value)]));
}

/** Where packaging/systemd/fallback-serve.service keeps its store. */
const usualStore = '/var/lib/fallback-store';

/** Answers that fit this machine, for who only presses Enter. */
async function suggestionsFor(invocation: Invocation, role: Role): Promise<Readonly<Record<string, string>>> {
  if (role === 'main') return {};
  const { parseConfiguration } = await import('../../yunohost/configuration/read-configuration.ts');
  const yunohost = await openYunohost(invocation, parseConfiguration('', 'the defaults'));
  const isInstalled = await yunohost.isInstalled();
  const main = isInstalled ? await yunohost.domains.list().catch(() => undefined) : undefined;
  return { 'store.folder': usualStore, ...(main === undefined ? {} : { 'server.own_domain': main.main }) };
}

/** Asks for one key until the answer is one that the configuration takes. */
async function askOne(
  invocation: Invocation,
  question: Question,
  chosen: Map<string, string>,
  suggested: string | undefined,
): Promise<void> {
  const { world, signal } = invocation;
  const [{ documentedKeys, exampleConfiguration }, { parseConfiguration }] = await Promise.all([
    import('../../yunohost/configuration/describe-schema.ts'),
    import('../../yunohost/configuration/read-configuration.ts'),
  ]);
  const documented = documentedKeys().find(({ section, key }) => `${section}.${key}` === question.key);
  const shown = (suggested ?? documented?.defaultText ?? '')
    .replace(/^"(.*)"$/, '$1')
    .replace(/^\[(.*)\]$/, '$1')
    .replaceAll('"', '');
  for (;;) {
    const typed = (await askLine(world, `${question.text} [${shown}]: `, signal)).trim() || (suggested ?? '');
    if (typed === '') return;
    const next = new Map([...chosen, [question.key, toToml(question.kind, typed)]]);
    try {
      parseConfiguration(exampleConfiguration(next), 'the answer');
      chosen.set(question.key, toToml(question.kind, typed));
      return;
    } catch (error) {
      if (!isFallbackError(error, 'CONFIG_INVALID')) throw error;
      world.stderr.write(`${error.message.replace(/^the answer(, line \d+)?: /, '')} Once more.\n`);
    }
  }
}

async function obtainRole(invocation: Invocation, answered: Map<string, string> | undefined): Promise<Role> {
  const typed = invocation.args[0];
  if (typed !== undefined) return parseChoice(roles)(typed);
  const told = answered?.get('server.role');
  if (told !== undefined) return parseChoice(roles)(told.replaceAll('"', ''));
  if (!canAsk(invocation.world)) {
    throw new FallbackError('USAGE', 'Is this the main server or the fallback server? Nothing was changed.', {
      hint: 'Type: fallback setup main, or: fallback setup fallback',
    });
  }
  const line = await askLine(invocation.world, 'Is this the main or the fallback server? [main]: ', invocation.signal);
  return line.trim() === '' ? 'main' : parseChoice(roles)(line.trim());
}

/** The TOML texts of all keys that are not at their default. */
async function obtainChoices(invocation: Invocation): Promise<Map<string, string>> {
  const file = invocation.get(answersOption);
  const answered = file === undefined ? undefined : await readAnswers(invocation, file);
  const role = await obtainRole(invocation, answered);
  const chosen = new Map([...(answered ?? []), ['server.role', JSON.stringify(role)]]);
  const state = invocation.get(stateOption);
  if (state !== undefined) chosen.set('store.state', JSON.stringify(state));
  if (answered !== undefined || !canAsk(invocation.world)) return chosen;
  const suggestions = await suggestionsFor(invocation, role);
  for (const question of questions) {
    if (question.roles.includes(role)) await askOne(invocation, question, chosen, suggestions[question.key]);
  }
  return chosen;
}

const serverCheck = 'fallback server';

/** The fallback server as the main server sees it: address, certificate, room. */
async function checkServer(invocation: Invocation): Promise<Check> {
  const name = serverCheck;
  const state = await openState(invocation);
  if (!(await state.isPaired())) {
    return {
      name,
      state: 'open',
      text: 'not paired yet. On the fallback server: fallback invite. Then here: fallback init CODE',
    };
  }
  try {
    const { opened, credentials } = await openForPush(invocation);
    try {
      const { freeBytes, quotaBytes, storedBytes } = opened.session.status;
      const room = quotaBytes === undefined ? freeBytes : Math.min(freeBytes, quotaBytes - storedBytes);
      const trust = credentials.certificate === undefined ? 'an ordinary web certificate' : 'the pinned certificate';
      return {
        name,
        state: 'good',
        text: `${opened.place} answers with ${trust}; ${showBytes(room)} are free there`,
        bytes: room,
      };
    } finally {
      await opened.close();
    }
  } catch (error) {
    if (!isFallbackError(error)) throw error;
    return { name, state: 'bad', text: `${error.message} ${error.hint}` };
  }
}

async function checkAll(invocation: Invocation, configuration: Configuration): Promise<Check[]> {
  const { checkMachine } = await import('../../yunohost/configuration/check-machine.ts');
  const yunohost = await openYunohost(invocation, configuration);
  const server = configuration.server.role === 'main' ? [await checkServer(invocation)] : [];
  const freeBytes = (path: string): Promise<number> => invocation.world.fs.freeBytes(path);
  const machine = await checkMachine(yunohost, configuration, freeBytes, server[0]?.bytes);
  return [...machine, ...server];
}

/** Writes the file; one that is there goes aside first. */
async function writeConfiguration(invocation: Invocation, path: string, text: string): Promise<string | undefined> {
  const { world } = invocation;
  const [{ ensureFolder }, { moveAside }, { replaceFile }] = await Promise.all([
    import('../../fs/ensure-folder.ts'),
    import('../../fs/remove-file.ts'),
    import('../../fs/replace-file.ts'),
  ]);
  const folder = dirname(path);
  await ensureFolder(world.fs, folder);
  const isThere = (await world.fs.facts(path)) !== undefined;
  const old = isThere ? await moveAside(world.fs, path, folder, 'config.toml.old') : undefined;
  const random = Buffer.from(world.randomBytes(8)).toString('hex');
  await replaceFile(world.fs, path, Buffer.from(text), folder, random);
  return old;
}

const marks = { good: 'ok', open: 'to do', bad: 'WRONG' } as const;

async function run(given: Invocation): Promise<number | undefined> {
  const { world, output } = given;
  const path = await configurationPath(given);
  const isThere = (await world.fs.facts(path)) !== undefined;
  if (isThere && given.get(forceOption) === undefined) {
    throw new FallbackError('ALREADY_EXISTS', `${path} is there already; it was not touched.`, {
      hint: 'Edit it, or replace it: fallback setup --force',
    });
  }
  const [{ exampleConfiguration, unknownKeys }, { parseConfiguration }] = await Promise.all([
    import('../../yunohost/configuration/describe-schema.ts'),
    import('../../yunohost/configuration/read-configuration.ts'),
  ]);
  const chosen = await obtainChoices(given);
  const [unknown] = unknownKeys(chosen.keys());
  if (unknown !== undefined)
    throw new FallbackError('USAGE', `There is no key ${showText(unknown)}. Nothing was changed.`);
  const text = exampleConfiguration(chosen);
  const configuration = parseConfiguration(text, path);
  const checks = await checkAll(withConfiguration(given, configuration), configuration);
  const old = await writeConfiguration(given, path, text);
  for (const { name, state, text: what } of checks) output.line(`${marks[state].padEnd(6)} ${name}: ${showText(what)}`);
  output.line(`Written: ${path}${old === undefined ? '' : `; the one before is ${old}`}`);
  const isMain = configuration.server.role === 'main';
  const isPaired = !checks.some(({ name, state }) => name === serverCheck && state === 'open');
  output.line(
    isMain
      ? `Next: ${isPaired ? '' : 'fallback init CODE, '}fallback apps, fallback push; then every night: systemctl enable --now fallback-push.timer`
      : 'Next: systemctl enable --now fallback-serve.service fallback-alarm.timer; then: fallback invite',
  );
  output.json({ path, old, role: configuration.server.role, checks });
  return checks.some(({ state }) => state === 'bad') ? 3 : undefined;
}

export const setupCommand: CommandBody = {
  description: [
    'Asks the few questions of the role on a terminal; all other keys stay in the file as comments with their defaults ' +
      '(docs/CONFIGURATION.md). Without a terminal the answers come from --answers, and what is missing takes its default.',
    'Tests YunoHost and its version, room on the disk, the mail program, and the fallback server: address, certificate, room. ' +
      'Exits with 3 when one of them is wrong; the file is written all the same.',
  ],
  arguments: [{ syntax: '[role]', description: 'main or fallback', completion: roles }],
  options: [answersOption, forceOption, configOption, stateOption, jsonOption],
  examples: [
    ['fallback setup main', 'on the main server'],
    ['fallback setup fallback --answers answers.json', 'on the fallback server, without a terminal'],
  ],
  json: [
    'One object: `path`, `old` (what the file before is called now; absent without one), `role`, `checks` (each `name`, `state`: `good`, `open`, `bad`; `text`).',
  ],
  run,
};
