// Databases of apps: one file of rows each, dumped and loaded as SQL text in the manner of mysqldump and pg_dump (section 4).
import { existsSync, rmSync } from 'node:fs';
import type { Server } from './server.ts';

export type Cell = string | number | null;

export interface Table {
  readonly name: string;
  readonly columns: readonly string[];
  readonly rows: Cell[][];
}

export type Engine = 'mysql' | 'postgresql';

const fileOf = (engine: Engine, name: string) => `/var/lib/${engine}/${name}.rows`;

/** Longest INSERT of a dump, in characters: mysqldump’s extended inserts stay under about 1 MB. */
const insertCharsMax = 1_000_000;

export function databaseExists(server: Server, engine: Engine, name: string): boolean {
  return existsSync(server.path(fileOf(engine, name)));
}

export function writeDatabase(server: Server, engine: Engine, name: string, tables: readonly Table[]): void {
  const lines = tables.flatMap((table) => [
    JSON.stringify({ table: table.name, columns: table.columns }),
    ...table.rows.map((row) => JSON.stringify(row)),
  ]);
  server.write(fileOf(engine, name), lines.map((line) => `${line}\n`).join(''), 0o660);
}

export function readDatabase(server: Server, engine: Engine, name: string): Table[] {
  const tables: Table[] = [];
  for (const line of server.read(fileOf(engine, name)).split('\n')) {
    if (line === '') continue;
    if (line.startsWith('{')) {
      const head = JSON.parse(line) as { table: string; columns: string[] };
      tables.push({ name: head.table, columns: head.columns, rows: [] });
    } else {
      tables.at(-1)?.rows.push(JSON.parse(line) as Cell[]);
    }
  }
  return tables;
}

export function dropDatabase(server: Server, engine: Engine, name: string): void {
  rmSync(server.path(fileOf(engine, name)), { force: true });
}

const mysqlEscapes: Record<string, string> = { '\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\0': '\\0' };
const mysqlUnescapes: Record<string, string> = { n: '\n', r: '\r', 0: '\0' };

function mysqlCell(cell: Cell): string {
  if (cell === null) return 'NULL';
  return typeof cell === 'number'
    ? String(cell)
    : `'${cell.replace(/[\\'\n\r\0]/g, (char) => mysqlEscapes[char] ?? char)}'`;
}

/** `mysqldump --single-transaction --skip-dump-date --routines`: extended inserts, no date. */
export function dumpMysql(tables: readonly Table[]): string {
  const parts = [
    '-- MariaDB dump 10.19  Distrib 10.11.14-MariaDB\n--\n-- ------------------------------------------------------\n',
  ];
  for (const table of tables) {
    parts.push(`DROP TABLE IF EXISTS \`${table.name}\`;\nCREATE TABLE \`${table.name}\` (\n`);
    parts.push(`${table.columns.map((column) => `  \`${column}\` longtext`).join(',\n')}\n) ENGINE=InnoDB;\n`);
    let insert = '';
    const flush = () => insert !== '' && parts.push(`INSERT INTO \`${table.name}\` VALUES ${insert};\n`);
    for (const row of table.rows) {
      const values = `(${row.map(mysqlCell).join(',')})`;
      if (insert.length + values.length > insertCharsMax) {
        flush();
        insert = '';
      }
      insert += insert === '' ? values : `,${values}`;
    }
    flush();
  }
  return `${parts.join('')}-- Dump completed\n`;
}

/** Values of one INSERT: `(1,'a'),(2,NULL)`. */
function parseValues(text: string): Cell[][] {
  const rows: Cell[][] = [];
  const token = /\(|\)|,|NULL|-?[0-9.]+|'((?:[^'\\]|\\[\s\S])*)'/g;
  let row: Cell[] = [];
  for (const match of text.matchAll(token)) {
    const [word, quoted] = match;
    if (word === '(') row = [];
    else if (word === ')') rows.push(row);
    else if (word === 'NULL') row.push(null);
    else if (quoted !== undefined)
      row.push(quoted.replace(/\\([\s\S])/g, (_, char: string) => mysqlUnescapes[char] ?? char));
    else if (word !== ',') row.push(Number(word));
  }
  return rows;
}

/** Runs a dump of dumpMysql. @throws when it ends before its last line, as a truncated dump does. */
export function loadMysql(sql: string): Table[] {
  if (!sql.endsWith('-- Dump completed\n')) throw new Error('ERROR 1064 (42000): You have an error in your SQL syntax');
  const tables: Table[] = [];
  for (const [, name = '', body = ''] of sql.matchAll(/CREATE TABLE `([^`]+)` \(\n([\s\S]*?)\n\) ENGINE/g)) {
    tables.push({ name, columns: [...body.matchAll(/`([^`]+)`/g)].map(([, column = '']) => column), rows: [] });
  }
  for (const line of sql.split('\n')) {
    const [, name, values = ''] = /^INSERT INTO `([^`]+)` VALUES (.*);$/.exec(line) ?? [];
    if (name !== undefined) tables.find((table) => table.name === name)?.rows.push(...parseValues(values));
  }
  return tables;
}

const copyEscapes: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\t': '\\t', '\r': '\\r' };
const copyUnescapes: Record<string, string> = { n: '\n', t: '\t', r: '\r' };

function copyCell(cell: Cell): string {
  if (cell === null) return '\\N';
  return typeof cell === 'number' ? `${cell}` : `'${cell.replace(/[\\\n\t\r]/g, (char) => copyEscapes[char] ?? char)}`;
}

/** Plain `pg_dump`: one COPY block a table (texts carry a quote here, which tells them from numbers). */
export function dumpPostgres(tables: readonly Table[]): string {
  const parts = ['--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n'];
  for (const table of tables) {
    parts.push(
      `CREATE TABLE public.${table.name} (\n${table.columns.map((name) => `    ${name} text`).join(',\n')}\n);\n\n`,
    );
    parts.push(`COPY public.${table.name} (${table.columns.join(', ')}) FROM stdin;\n`);
    for (const row of table.rows) parts.push(`${row.map(copyCell).join('\t')}\n`);
    parts.push('\\.\n\n');
  }
  return `${parts.join('')}--\n-- PostgreSQL database dump complete\n--\n\n`;
}

/** Runs a dump of dumpPostgres. @throws when it ends early. */
export function loadPostgres(sql: string): Table[] {
  if (!sql.includes('-- PostgreSQL database dump complete')) throw new Error('ERROR: unexpected end of COPY data');
  return [...sql.matchAll(/COPY public\.(\S+) \(([^)]*)\) FROM stdin;\n([\s\S]*?)\\\.\n/g)].map(
    ([, name = '', columns = '', body = '']) => ({
      name,
      columns: columns.split(', '),
      rows: body
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split('\t').map(parseCopyCell)),
    }),
  );
}

function parseCopyCell(text: string): Cell {
  if (text === '\\N') return null;
  if (!text.startsWith("'")) return Number(text);
  return text.slice(1).replace(/\\([\s\S])/g, (_, char: string) => copyUnescapes[char] ?? char);
}
