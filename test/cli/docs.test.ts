// The man page, the reference and the completions are made from the commands, and cannot go stale.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { isFamily } from '../../src/cli/command-spec.ts';
import { loadCommands } from '../../src/cli/commands.ts';
import { makeCompletion } from '../../src/cli/completion/make-completion.ts';
import { makeDocs, manPagePath, referencePath } from '../../src/cli/docs/write-docs.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { programVersion } from '../../src/cli/version.ts';

const commands = await loadCommands();
const specs = commands.flatMap((entry) => (isFamily(entry) ? entry.commands : [entry]));

test('docs/man/fallback.1 and docs/COMMANDS.md are what the commands say (else: node src/cli/docs/write-docs.ts)', () => {
  const page = readFileSync(referencePath, 'utf8');
  const made = makeDocs(commands, page);
  assert.equal(page, made.commandsPage);
  assert.equal(readFileSync(manPagePath, 'utf8'), made.manPage);
});

test('the version is package.json’s', () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  assert.equal(programVersion, version);
});

test('every command has an example that begins with its own name, and says what --json prints if it takes it', () => {
  for (const entry of commands) {
    for (const spec of isFamily(entry) ? entry.commands : [entry]) {
      assert.ok(spec.examples.length > 0, spec.name);
      for (const [command] of spec.examples) assert.ok(command.startsWith(`fallback ${entry.name}`), command);
      const takesJson = spec.options?.some(({ flags }) => flags === '--json') ?? false;
      if (takesJson) assert.ok(spec.json !== undefined, `${entry.name} ${spec.name}`);
    }
  }
});

test('the program can be built, and its help fits narrow terminals', () => {
  let written = '';
  const streams = { write: (text: string) => (written += text), columns: 60 };
  const program = buildProgram(commands, programVersion, streams, async () => undefined);
  program.outputHelp();
  assert.ok(written.includes('restore'));
  const widest = Math.max(...written.split('\n').map((line) => line.length));
  assert.ok(widest <= 110, `a line has ${widest} columns`);
});

test('no option takes a secret itself', () => {
  for (const spec of specs) {
    for (const { flags, parse } of spec.options ?? []) {
      const isSecret = /pass|phrase|secret|token|key/.test(flags) && parse !== undefined;
      if (isSecret) assert.match(flags, /-file <file>$|^--key <file>$|^--key-document <number>$/, flags);
    }
  }
});

/** What bash offers for a line, by the generated script. */
function bashOffers(line: string): string[] {
  const words = line.split(' ');
  const script = `${makeCompletion('bash', commands)}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
compopt() { :; }
_fallback; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['-c', script], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').filter((word) => word !== '');
}

test('bash: commands, words of a family, options, fixed values', () => {
  assert.deepEqual(bashOffers('fallback re'), ['restore', 'recover', 'repositories', 'retention']);
  assert.deepEqual(bashOffers('fallback key re'), ['recovery']);
  assert.deepEqual(bashOffers('fallback push --limit-'), ['--limit-upload', '--limit-download']);
  assert.deepEqual(bashOffers('fallback retention pin --re'), ['--repository']);
  assert.deepEqual(bashOffers('fallback init --chunker f'), ['fallback', 'fastcdc-wasm']);
  assert.deepEqual(bashOffers('fallback completion '), ['bash', 'zsh', 'fish']);
  assert.deepEqual(bashOffers('fallback ls l'), ['latest']);
});

for (const [shell, check] of [
  ['zsh', ['-n']],
  ['fish', ['--no-execute']],
] as const) {
  const isThere = spawnSync(shell, ['--version']).status === 0;
  test(`${shell}: the script is valid`, { skip: !isThere }, () => {
    const { status, stderr } = spawnSync(shell, [...check, '/dev/stdin'], {
      input: makeCompletion(shell, commands),
      encoding: 'utf8',
    });
    assert.equal(status, 0, stderr);
  });
}

const hasMan = spawnSync('man', ['--version']).status === 0;
test('man reads the page without a warning', { skip: !hasMan }, () => {
  const { status, stderr } = spawnSync('man', ['-l', '--warnings', manPagePath.pathname], {
    encoding: 'utf8',
    env: { ...process.env, MANPAGER: 'cat' },
  });
  assert.equal(status, 0);
  assert.equal(stderr, '');
});

/** Lines to type in a page: code lines, and what stands between backticks. */
function typedIn(page: string): string[] {
  const text = readFileSync(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  const blocks = [...text.matchAll(/^ {4}(fallback .*?)(?: {2,}.*)?$/gm)];
  const inline = [...text.matchAll(/`(fallback [^`]+)`/g)];
  return [...blocks, ...inline].map(([, line]) => line ?? '');
}

for (const page of ['OPERATIONS.md', 'OPERATIONS.fr.md']) {
  test(`what docs/${page} says to type is taken by the commands`, () => {
    const lines = typedIn(page);
    assert.ok(lines.length > 40, 'the page is read');
    for (const line of lines) {
      const [, name = '', ...words] = line.split(/\s+/);
      const entry = commands.find((one) => one.name === name);
      assert.ok(entry !== undefined, line);
      const inner = isFamily(entry) ? entry.commands.find((one) => one.name === (words[0] ?? entry.default)) : entry;
      assert.ok(inner !== undefined, line);
      let given = isFamily(entry) ? -1 : 0;
      for (let at = 0; at < words.length; at++) {
        const word = words[at] ?? '';
        if (!word.startsWith('-')) {
          given++;
          continue;
        }
        const option = inner.options?.find(({ flags }) => flags.split(/[\s,]+/).includes(word));
        assert.ok(option !== undefined, `${line}: ${word}`);
        if (option.flags.includes('<')) at++;
      }
      const taken = inner.arguments ?? [];
      const most = taken.some(({ syntax }) => syntax.includes('...')) ? Number.POSITIVE_INFINITY : taken.length;
      assert.ok(given <= most, `${line}: too many words`);
    }
  });
}
