// What a scrub tells, and how it is kept while the scrub is under way.

/** Kinds of things a scrub looks at. */
export type ScrubbedKind = 'document' | 'configuration' | 'key document' | 'snapshot' | 'pack' | 'records';

export interface ScrubDamage {
  readonly kind: ScrubbedKind;
  /** The number in the repository; 0 for what there is one of. */
  readonly number: number;
  /** What is wrong, for people. */
  readonly reason: string;
  /** Where the damaged file was moved to, below the store's folder. */
  readonly quarantinedAs: string | undefined;
  /** Made whole again from a second copy. */
  readonly repaired: boolean;
  /** Snapshots that need it: they are whole again once it is healed. */
  readonly neededBy: readonly number[];
}

/** A file that no record names. */
export interface ScrubStranger {
  readonly key: string;
  /** Where it was moved to; undefined when it was gone by then. */
  readonly quarantinedAs: string | undefined;
}

export interface ScrubReport {
  readonly startedAtMs: number;
  /** Undefined while the scrub was stopped before its end: the next one goes on from there. */
  readonly finishedAtMs: number | undefined;
  readonly objectsChecked: number;
  readonly bytesChecked: number;
  readonly damage: readonly ScrubDamage[];
  readonly strangers: readonly ScrubStranger[];
}

/** A report that grows. */
export interface ScrubTally {
  startedAtMs: number;
  objectsChecked: number;
  bytesChecked: number;
  damage: ScrubDamage[];
  strangers: ScrubStranger[];
}

/** A tally at its beginning. */
export function newTally(startedAtMs: number): ScrubTally {
  return { startedAtMs, objectsChecked: 0, bytesChecked: 0, damage: [], strangers: [] };
}

function isTally(value: unknown): value is ScrubTally {
  if (typeof value !== 'object' || value === null) return false;
  const fields = new Map<string, unknown>(Object.entries(value));
  const isNumber = (name: string): boolean => typeof fields.get(name) === 'number';
  return (
    isNumber('startedAtMs') &&
    isNumber('objectsChecked') &&
    isNumber('bytesChecked') &&
    Array.isArray(fields.get('damage')) &&
    Array.isArray(fields.get('strangers'))
  );
}

/** The tally of a scrub that was stopped, or undefined when it cannot be read: then the scrub begins anew. */
export function decodeTally(text: string): ScrubTally | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isTally(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
