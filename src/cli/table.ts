// Aligned columns of text.

export interface Column {
  readonly title: string;
  /** Numbers stand right; text stands left, which is the default. */
  readonly right?: boolean;
}

const width = (text: string): number => [...text].length;

/** Lines of a table: a heading, then a line a row, two spaces between columns. */
export function layTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const all = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, index) => Math.max(...all.map((row) => width(row[index] ?? ''))));
  return all.map((row) => {
    const cells = columns.map(({ right }, index) => {
      const text = row[index] ?? '';
      const padding = ' '.repeat((widths[index] ?? 0) - width(text));
      return right === true ? padding + text : text + padding;
    });
    return cells.join('  ').trimEnd();
  });
}

/** Lines `name  value`, the values under each other; rows without a value are left out. */
export function layFacts(facts: readonly (readonly [name: string, value: string | undefined])[]): string[] {
  const shown = facts.filter(([, value]) => value !== undefined);
  const nameWidth = Math.max(0, ...shown.map(([name]) => width(name)));
  return shown.map(([name, value]) => `${name.padEnd(nameWidth)}  ${value}`.trimEnd());
}
