// The recovery sheet: all that a new machine needs, on one page to print or write down.
import { showFingerprint, showTime } from './show.ts';

export interface RecoverySheet {
  readonly repositoryName: string;
  readonly repositoryId: string;
  readonly hostName: string;
  /** `backup.example.org:7443`. */
  readonly address: string;
  /** Hexadecimal; undefined behind a proxy with an ordinary web certificate. */
  readonly certificateSha256: string | undefined;
  /** Twelve words separated by spaces. */
  readonly phrase: string;
  /** Names the phrase without telling it. */
  readonly phraseLabel: string;
  readonly isEncrypted: boolean;
  readonly madeAtMs: number;
}

const columns = 4;
const rows = 3;

/** The words in columns, numbered downwards. */
function layPhrase(phrase: string): string[] {
  const words = phrase.split(' ');
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_unused, column) => {
      const index = column * rows + row;
      return `${String(index + 1).padStart(2)} ${(words[index] ?? '').padEnd(10)}`;
    })
      .join('  ')
      .trimEnd(),
  );
}

/** The command that a new machine starts with. */
export const connectCommand = ({ address, certificateSha256 }: RecoverySheet): string =>
  certificateSha256 === undefined
    ? `fallback connect ${address} --public-certificate`
    : `fallback connect ${address} --fingerprint ${showFingerprint(certificateSha256)}`;

/** The sheet's lines. */
export function layRecoverySheet(sheet: RecoverySheet): string[] {
  const { certificateSha256 } = sheet;
  const digits = certificateSha256?.match(/.{8}/g) ?? [];
  const certificate =
    certificateSha256 === undefined
      ? ['Certificate   an ordinary web certificate, checked by name']
      : [`Certificate   ${digits.slice(0, 4).join(' ')}   (SHA-256)`, `              ${digits.slice(4).join(' ')}`];
  return [
    'FALLBACK RECOVERY SHEET',
    '',
    `Repository    ${sheet.repositoryName}  (id ${sheet.repositoryId})`,
    `Made on       ${sheet.hostName}, ${showTime(sheet.madeAtMs)}`,
    `Server        ${sheet.address}`,
    ...certificate,
    '',
    `Recovery phrase ${sheet.phraseLabel}, twelve words in this order, downwards:`,
    '',
    ...layPhrase(sheet.phrase).map((line) => `    ${line}`),
    '',
    'On a new machine with fallback installed, type this on one line, then the twelve words when asked:',
    '',
    `    ${connectCommand(sheet)}`,
    '',
    'After that: fallback snapshots, fallback restore latest --to FOLDER',
    '',
    sheet.isEncrypted
      ? 'Whoever has this sheet can read every backup; without it and without the passphrase nobody can.'
      : 'This repository is NOT encrypted: whoever has the fallback server’s disk can read every backup.',
    'Keep it on paper, away from both servers.',
  ];
}
