// Kinds of values in config.toml: how each is checked, and how docs/CONFIGURATION.md shows its default.

/** One key of the schema. */
export interface ValueKind<Value> {
  /** For the documentation: `"archive" or "stream"`. */
  readonly shape: string;
  readonly defaultValue: Value;
  /** The default as TOML text. */
  readonly defaultText: string;
  readonly about: string;
  /** The checked value, or why it is wrong: `is not …`. */
  read(value: unknown): { readonly value: Value } | { readonly wrong: string };
}

type Read<Value> = ValueKind<Value>['read'];

const kind = <Value>(shape: string, defaultValue: Value, about: string, read: Read<Value>): ValueKind<Value> => ({
  shape,
  defaultValue,
  defaultText: toToml(defaultValue),
  about,
  read,
});

function toToml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toToml).join(', ')}]`;
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

const wrong = (text: string): { readonly wrong: string } => ({ wrong: text });

export const choice = <Choice extends string>(
  choices: readonly Choice[],
  defaultValue: NoInfer<Choice>,
  about: string,
) => {
  const shape = choices.map((one) => JSON.stringify(one)).join(', ');
  return kind<Choice>(shape, defaultValue, about, (value) => {
    const found = choices.find((one) => one === value);
    return found === undefined ? wrong(`must be one of ${shape}`) : { value: found };
  });
};

export const flag = (defaultValue: boolean, about: string) =>
  kind<boolean>('true or false', defaultValue, about, (value) =>
    typeof value === 'boolean' ? { value } : wrong('must be true or false, without quotes'),
  );

/** A whole number in `[min, max]`. */
export const whole = (min: number, max: number, defaultValue: number, about: string) =>
  kind<number>(`a whole number from ${min} to ${max}`, defaultValue, about, (value) => {
    // smol-toml gives whole numbers beyond 2^53 as bigint.
    const isFine = typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
    return isFine ? { value } : wrong(`must be a whole number from ${min} to ${max}, without quotes`);
  });

export interface TextRules {
  readonly shape: string;
  readonly pattern: RegExp;
}

/** A text; the empty one is always allowed and means “not set”. */
export const text = (defaultValue: string, about: string, rules?: TextRules) =>
  kind<string>(rules?.shape ?? 'a text', defaultValue, about, (value) => {
    if (typeof value !== 'string') return wrong('must be a text in quotes');
    if (value === '' || rules === undefined || rules.pattern.test(value)) return { value };
    return wrong(`must be ${rules.shape}, or "" for none`);
  });

/** Texts in a list. */
export const texts = (defaultValue: readonly string[], about: string, rules: TextRules) =>
  kind<readonly string[]>(`a list of ${rules.shape}`, defaultValue, about, (value) => {
    if (!Array.isArray(value)) return wrong('must be a list: ["one", "two"]');
    const bad = value.find((item) => typeof item !== 'string' || !rules.pattern.test(item));
    if (bad !== undefined) return wrong(`holds ${JSON.stringify(bad)}, which is none of: ${rules.shape}`);
    return { value: value.map(String) };
  });

const durationPattern = /^(\d{1,6})(s|min|h|d)$/;
const msOfUnit: Readonly<Record<string, number>> = { s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** A length of time, kept in milliseconds: `90s`, `30min`, `36h`, `7d`. */
export const duration = (defaultText: string, about: string): ValueKind<number> => {
  const read: Read<number> = (value) => {
    const match = typeof value === 'string' ? durationPattern.exec(value) : null;
    const ms = Number(match?.[1]) * (msOfUnit[match?.[2] ?? ''] ?? Number.NaN);
    return ms > 0 ? { value: ms } : wrong('must be a length of time in quotes: "90s", "30min", "36h" or "7d"');
  };
  const given = read(defaultText);
  if ('wrong' in given) throw new RangeError(defaultText);
  const shape = 'a length of time: "90s", "30min", "36h", "7d"';
  return { shape, defaultValue: given.value, defaultText: JSON.stringify(defaultText), about, read };
};

/** A span of the day in minutes after midnight, local time; it may go over midnight. */
export interface TimeWindow {
  readonly startMinute: number;
  readonly endMinute: number;
}

/** `"01:00-06:30"`, or empty for any time. */
export const timeWindow = (about: string): ValueKind<TimeWindow | undefined> => ({
  shape: '"01:00-06:30", local time; "" for any time',
  defaultValue: undefined,
  defaultText: '""',
  about,
  read: (value) => {
    if (value === '') return { value: undefined };
    const match = typeof value === 'string' ? /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(value) : null;
    const [startHour = 99, startMinute = 99, endHour = 99, endMinute = 99] = (match ?? []).slice(1).map(Number);
    const isTime = startHour < 24 && startMinute < 60 && endHour < 24 && endMinute < 60;
    const window = { startMinute: startHour * 60 + startMinute, endMinute: endHour * 60 + endMinute };
    if (isTime && window.startMinute !== window.endMinute) return { value: window };
    return wrong('must be two times of the day such as "01:00-06:30", or ""');
  },
});
