// fallback errors: the table of codes.
import { type ErrorCode, errorCodes } from '../../errors/error-codes.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CommandBody } from '../command-spec.ts';
import { jsonOption } from '../shared-options.ts';
import { layTable } from '../table.ts';

const isCode = (text: string): text is ErrorCode => Object.hasOwn(errorCodes, text);
const all = Object.keys(errorCodes).filter(isCode);

const retries = {
  never: 'not again with the same input',
  later: 'later, by you or a timer',
  now: 'by the program itself',
} as const;

export const errorsCommand: CommandBody = {
  description: [
    'Exit codes: 0 done; 1 failed; 2 wrong usage; 3 finished but incomplete; 4 damage found; 5 not trusted; 10 busy, try later.',
  ],
  arguments: [{ syntax: '[code]', description: 'one code', completion: all }],
  options: [jsonOption],
  examples: [
    ['fallback errors', 'all codes'],
    ['fallback errors TRUST_ROLLBACK', 'one code'],
  ],
  json: ['A line for each code: `code`, `exitCode`, `retry` (`never`, `later`, `now`), `hint`.'],
  run: async ({ args, output }) => {
    const wanted = args[0]?.toUpperCase();
    if (wanted !== undefined && !isCode(wanted)) {
      throw new FallbackError('USAGE', `There is no error code ${JSON.stringify(args[0])}.`, {
        hint: 'Type `fallback errors` for all.',
      });
    }
    const codes = wanted === undefined ? all : [wanted];
    for (const code of codes) output.json({ code, ...errorCodes[code] });
    if (wanted !== undefined) {
      const { exitCode, retry, hint } = errorCodes[wanted];
      output.lines([`${wanted}  (exit code ${exitCode})`, `  next: ${hint}`, `  again: ${retries[retry]}`]);
    } else {
      const rows = all.map((code) => [code, String(errorCodes[code].exitCode), errorCodes[code].hint]);
      output.lines(layTable([{ title: 'CODE' }, { title: 'EXIT', right: true }, { title: 'WHAT TO DO' }], rows));
    }
    return undefined;
  },
};
