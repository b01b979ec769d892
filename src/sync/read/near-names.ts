// What an admin may have meant by a name that is not there.

/** Levenshtein distance, given up beyond `max`. */
function distance(a: string, b: string, max: number): number {
  if (Math.abs(a.length - b.length) > max) return max + 1;
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    let least = i;
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const value = Math.min(substitution, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      next.push(value);
      least = Math.min(least, value);
    }
    if (least > max) return max + 1;
    row = next;
  }
  return row[b.length] ?? max + 1;
}

const shownMax = 5;
const siblingsMax = 2000;
const comparedLengthMax = 255;

/** Looks at names as they pass and keeps those that are nearest to a wanted path: its siblings, and namesakes elsewhere. */
export class NearNames {
  readonly #parts: readonly string[];
  readonly #namesakes = new Set<string>();
  readonly #siblings = new Set<string>();
  #depth = 0;

  /** @param path normalized. */
  constructor(path: string) {
    this.#parts = path.split('/');
  }

  /** @param path of a member, normalized. */
  see(path: string): void {
    // The archive's own root, `./`, is no name.
    if (path === '') return;
    const parts = path.split('/');
    let depth = 0;
    while (depth < parts.length && depth < this.#parts.length - 1 && parts[depth] === this.#parts[depth]) depth++;
    if (depth > this.#depth) {
      this.#depth = depth;
      this.#siblings.clear();
    }
    const next = parts[depth];
    if (depth === this.#depth && next !== undefined && this.#siblings.size < siblingsMax) this.#siblings.add(next);
    const last = this.#parts.at(-1)?.toLowerCase();
    if (parts.at(-1)?.toLowerCase() === last && this.#namesakes.size < shownMax) this.#namesakes.add(path);
  }

  /** For people: `Did you mean …?`, or what the deepest folder that exists holds; empty when nothing is near. */
  toHint(): string {
    const folder = this.#parts.slice(0, this.#depth).join('/');
    const wanted = (this.#parts[this.#depth] ?? '').toLowerCase().slice(0, comparedLengthMax);
    const max = Math.max(2, Math.floor(wanted.length / 3));
    const near = [...this.#siblings]
      .map((name) => ({ name, far: distance(name.toLowerCase().slice(0, comparedLengthMax), wanted, max) }))
      .filter(({ far }) => far <= max)
      .sort((a, b) => a.far - b.far)
      .map(({ name }) => (folder === '' ? name : `${folder}/${name}`));
    const meant = [...new Set([...near, ...this.#namesakes])].slice(0, shownMax);
    if (meant.length > 0) return `Did you mean: ${meant.join(', ')}?`;
    if (this.#siblings.size === 0) return '';
    const shown = [...this.#siblings].slice(0, shownMax).join(', ');
    const more = this.#siblings.size > shownMax ? ', …' : '';
    return `${folder === '' ? 'The archive' : folder} holds: ${shown}${more}.`;
  }
}
