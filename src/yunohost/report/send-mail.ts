// Plain-text mail through the local `sendmail` program, as every YunoHost has it.
import { FallbackError } from '../../errors/fallback-error.ts';
import { runProgram } from '../command/run-program.ts';
import { plainText } from './report.ts';

export interface Mail {
  readonly sendmail: string;
  readonly to: readonly string[];
  /** Empty: root of this machine. */
  readonly from: string;
  readonly subject: string;
  readonly lines: readonly string[];
}

const sendLimitMs = 60_000;
const subjectLengthMax = 200;

/** A header's text; anything beyond ASCII as RFC 2047 encoded words of at most 75 characters. */
export function encodeHeader(text: string): string {
  const plain = plainText(text).slice(0, subjectLengthMax);
  if (/^[\x20-\x7e]*$/.test(plain)) return plain;
  const words: string[] = [];
  let piece = '';
  for (const character of plain) {
    if (Buffer.byteLength(piece + character) > 42) {
      words.push(piece);
      piece = '';
    }
    piece += character;
  }
  words.push(piece);
  return words.map((word) => `=?UTF-8?B?${Buffer.from(word).toString('base64')}?=`).join('\r\n ');
}

/** The message as RFC 5322 has it; the body in base64, so that no line is too long and every name comes through. */
export function layMail({ to, from, subject, lines }: Mail): string {
  const body = Buffer.from(`${lines.join('\n')}\n`)
    .toString('base64')
    .replace(/.{1,76}/g, '$&\n');
  const headers = [
    ...(from === '' ? [] : [`From: ${from}`]),
    `To: ${to.join(', ')}`,
    `Subject: ${encodeHeader(subject)}`,
    'Auto-Submitted: auto-generated',
    'MIME-Version: 1.0',
    'Content-Type: text/plain; charset=utf-8',
    'Content-Transfer-Encoding: base64',
  ];
  return `${headers.join('\n').replaceAll('\r\n', '\n')}\n\n${body}`;
}

/** Hands a mail to the local program. @throws IO when it is not taken. */
export async function sendMail(mail: Mail, environment: Readonly<Record<string, string | undefined>>): Promise<void> {
  const args = ['-i', ...(mail.from === '' ? [] : ['-f', mail.from]), '--', ...mail.to];
  let result: Awaited<ReturnType<typeof runProgram>>;
  try {
    result = await runProgram({
      program: mail.sendmail,
      args,
      environment: { PATH: environment['PATH'], LC_ALL: 'C.UTF-8' },
      timeLimitMs: sendLimitMs,
      input: layMail(mail),
    });
  } catch (cause) {
    throw new FallbackError('IO', `The mail could not be sent: ${mail.sendmail} cannot be run or does not answer.`, {
      cause,
    });
  }
  if (result.exitCode === 0) return;
  throw new FallbackError(
    'IO',
    `The mail could not be sent: ${mail.sendmail} ended with ${result.exitCode}: ${plainText(result.stderr).slice(0, 300)}`,
  );
}
