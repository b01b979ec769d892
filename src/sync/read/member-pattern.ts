// Which members an admin means: a path names a member, or a folder with everything under it; `*`, `?` and `**` stand for more.

/** A member's path without leading `./`, without slashes at its ends or doubled; the archive's own root is empty. */
export function normalizeMemberPath(path: string): string {
  return path
    .split('/')
    .filter((part) => part !== '' && part !== '.')
    .join('/');
}

const escapeRegExp = (text: string): string => text.replace(/[\\^$.|+()[\]{}]/g, '\\$&');

function globToRegExp(glob: string): RegExp {
  const parts = glob.split('/').map((part) => {
    if (part === '**') return '**';
    return escapeRegExp(part).replace(/\*+/g, '[^/]*').replaceAll('?', '[^/]');
  });
  let source = '';
  for (const [index, part] of parts.entries()) {
    if (part === '**') source += index === parts.length - 1 ? '.+' : '(?:[^/]+/)*';
    else source += index === parts.length - 1 ? part : `${part}/`;
  }
  return new RegExp(`^${source}(?:/|$)`, 'su');
}

/** One path or glob that was asked for. */
export class MemberPattern {
  /** As it was typed. */
  readonly text: string;
  readonly path: string;
  readonly #folder: string;
  readonly #glob: RegExp | undefined;
  isMatched = false;

  constructor(text: string) {
    this.text = text;
    this.path = normalizeMemberPath(text);
    this.#folder = `${this.path}/`;
    this.#glob = /[*?]/.test(text) ? globToRegExp(this.path) : undefined;
  }

  /** Whether a member, by its normalized path, is meant. */
  matches(path: string): boolean {
    const matches =
      this.path === '' || path === this.path || path.startsWith(this.#folder) || this.#glob?.test(path) === true;
    if (matches) this.isMatched = true;
    return matches;
  }
}

/** Several patterns; none at all means every member. */
export class MemberPatterns {
  readonly all: readonly MemberPattern[];

  constructor(texts: readonly string[]) {
    this.all = texts.map((text) => new MemberPattern(text));
  }

  /** Whether any pattern means the member; notes all that do. */
  matches(path: string): boolean {
    let matches = this.all.length === 0;
    for (const pattern of this.all) if (pattern.matches(path)) matches = true;
    return matches;
  }

  /** Whether every member is meant. */
  get areAll(): boolean {
    return this.all.length === 0 || this.all.some(({ path }) => path === '' || path === '**');
  }

  /** The first pattern that no member matched. */
  get unmatched(): MemberPattern | undefined {
    return this.all.find((pattern) => !pattern.isMatched);
  }
}
