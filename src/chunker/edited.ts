// Tells members that are edited all over from one night to the next, by their first bytes: dumps of databases, and
// databases. A wrong guess costs some bytes or some index entries, never correctness.

const databaseMagic = 'SQLite format 3\0';

/** How the first line of a dump may begin: a comment, a statement, `dn:`, nothing. Most members are told by this byte. */
const dumpStarts = new Set(Buffer.from('-/CISBPDd\n\r\xef', 'latin1'));
/** How many of its first bytes are searched. */
const dumpHeadBytes = 512;
/** One of its first lines: mysqldump, mariadb-dump, pg_dump, sqlite3's .dump, phpMyAdmin; slapcat's LDIF. */
const dumpLine = /^(?:CREATE TABLE|CREATE DATABASE|INSERT INTO|COPY \S+ |BEGIN TRANSACTION;|-- .*[Dd]ump\b|dn: \S)/m;

/** Whether a member that begins with these bytes is likely edited in many places every night. */
export function looksEdited(bytes: Uint8Array): boolean {
  const first = bytes[0];
  if (first === undefined || !dumpStarts.has(first)) return false;
  const head = Buffer.from(bytes.subarray(0, dumpHeadBytes)).toString('latin1');
  return head.startsWith(databaseMagic) || dumpLine.test(head);
}
