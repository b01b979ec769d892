// What was wanted and what became of it, for `backup create` and `backup restore` alike (section 2).

export type Category = 'system' | 'apps';
const levels = ['Unknown', 'Success', 'Warning', 'Error', 'Skipped'] as const;
export type TargetResult = (typeof levels)[number];
export type Results = Record<Category, Record<string, TargetResult>>;

export class BackupTargets {
  readonly wanted: Record<Category, string[]> = { system: [], apps: [] };
  readonly results: Results = { system: {}, apps: {} };

  /** A result only ever gets worse. */
  set(category: Category, target: string, result: TargetResult): void {
    const known = this.results[category][target];
    if (known === undefined || levels.indexOf(known) <= levels.indexOf(result)) this.results[category][target] = result;
  }

  /**
   * Chooses targets of a category: none when undefined, all when the list is empty, else those named; each that is not
   * available is `Skipped` and told.
   */
  choose(
    category: Category,
    named: readonly string[] | undefined,
    available: readonly string[],
    missing: (target: string) => void,
  ): string[] {
    if (named === undefined) this.wanted[category] = [];
    else this.wanted[category] = named.length === 0 ? [...available] : named.filter((one) => available.includes(one));
    for (const target of named ?? []) {
      if (available.includes(target)) continue;
      this.set(category, target, 'Skipped');
      missing(target);
    }
    for (const target of this.wanted[category]) this.set(category, target, 'Unknown');
    return this.going(category);
  }

  /** The targets that were not skipped. */
  going(category: Category): string[] {
    return this.wanted[category].filter((target) => this.results[category][target] !== 'Skipped');
  }

  /** Whether anything at all succeeded: what decides the exit code (sections 2 and 6). */
  get anySuccess(): boolean {
    return (['system', 'apps'] as const).some((category) =>
      this.wanted[category].some((target) => ['Success', 'Warning'].includes(this.results[category][target] ?? '')),
    );
  }
}
