// Tables for people: columns as wide as they must be, numbers to the right.

export type Cell = string | number;

/** A number as people read it: three figures that count, thousands apart. */
export function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '-';
  if (Number.isInteger(value)) return value.toLocaleString('en');
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : Math.abs(value) >= 1 ? 2 : 3;
  return value.toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

const show = (cell: Cell): string => (typeof cell === 'number' ? formatNumber(cell) : cell);
const isNumeric = (cell: Cell): boolean => typeof cell === 'number' || cell === '-' || /^[-+]?[\d.,]+( |$)/.test(cell);

/** Lines of an aligned table: head, rule, rows. */
export function formatTable(head: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => show(row[column] ?? '').length)),
  );
  const right = head.map((_, column) => column > 0 && rows.every((row) => isNumeric(row[column] ?? '-')));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return right[column] === true ? show(cell).padStart(width) : show(cell).padEnd(width);
      })
      .join('  ')
      .trimEnd();
  return [line(head), widths.map((width) => '-'.repeat(width)).join('  '), ...rows.map(line)];
}
