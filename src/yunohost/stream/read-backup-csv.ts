// backup.csv of YunoHost's work folder: what goes into an archive. Two columns, source and name in the archive, as Python's csv
// writes them (all quoted, CRLF, a quote doubled).
import { FallbackError } from '../../errors/fallback-error.ts';

export interface BackupRow {
  /** Absolute path of a file or folder. */
  readonly source: string;
  /** Its name in the archive. */
  readonly dest: string;
}

/** Splits CSV text into records of fields; a quoted field may hold anything. */
function* csvRecords(text: string): Generator<string[]> {
  let record: string[] = [];
  let field = '';
  let isQuoted = false;
  let isBegun = false;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (isQuoted) {
      if (character !== '"') field += character;
      else if (text[at + 1] === '"') {
        field += '"';
        at++;
      } else isQuoted = false;
      continue;
    }
    if (character === '"') {
      isQuoted = true;
      isBegun = true;
    } else if (character === ',') {
      record.push(field);
      field = '';
      isBegun = true;
    } else if (character === '\n' || character === '\r') {
      if (isBegun || field !== '') yield [...record, field];
      record = [];
      field = '';
      isBegun = false;
    } else {
      field += character;
      isBegun = true;
    }
  }
  if (isQuoted) throw new FallbackError('YUNOHOST_FAILED', 'YunoHost’s list of files (backup.csv) ends within a name.');
  if (isBegun || field !== '') yield [...record, field];
}

/** The rows in order. @throws YUNOHOST_FAILED for a row that is not two columns with an absolute source. */
export function parseBackupCsv(text: string): BackupRow[] {
  const rows: BackupRow[] = [];
  for (const [source, dest, ...more] of csvRecords(text)) {
    if (source === undefined || dest === undefined || more.length > 0 || !source.startsWith('/') || dest === '') {
      throw new FallbackError(
        'YUNOHOST_FAILED',
        'YunoHost’s list of files (backup.csv) has a row that is no pair of paths.',
      );
    }
    rows.push({ source, dest });
  }
  return rows;
}
