// Reports: what they say, when a mail is due, how it is laid out, and the alarm's decisions.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FallbackError } from '../../../src/errors/fallback-error.ts';
import { parseEpoch, parseRepositoryId } from '../../../src/format/ids.ts';
import { PackRanges } from '../../../src/format/pack-ranges.ts';
import { decideAlarms, type WatchedRepository } from '../../../src/yunohost/report/alarm.ts';
import { wantsMail } from '../../../src/yunohost/report/deliver-report.ts';
import { layReport, type Report, reportOfError, showSize, showSpan } from '../../../src/yunohost/report/report.ts';
import { encodeHeader, layMail } from '../../../src/yunohost/report/send-mail.ts';

const hour = 3_600_000;
const make = (status: Report['status'], timeMs = 0): Report => ({
  status,
  subject: 'push',
  headline: 'x',
  lines: [],
  facts: {},
  hostName: 'h',
  timeMs,
});

describe('reports', () => {
  it('an error: what happened, the code, what to do', () => {
    const error = new FallbackError('UNREACHABLE', 'backup.example.org does not answer.');
    const report = reportOfError('push', error, { hostName: 'main.test', timeMs: 5 });
    const lines = layReport(report);
    assert.equal(lines[0], 'FAILED: push on main.test');
    assert.ok(lines.includes('backup.example.org does not answer.') && lines.includes('Code: UNREACHABLE'));
    assert.match(lines.at(-1) ?? '', /^Next: Check the network/);
    assert.equal(reportOfError('push', new TypeError('x'), { hostName: 'h', timeMs: 0 }).facts['code'], 'INTERNAL');
  });

  it('names from outside steer neither terminal nor mail', () => {
    const lines = layReport({ ...make('ok'), lines: ['  a\u001b[2J\r\nBcc: evil@example.org'] });
    assert.deepEqual(lines.at(-1), '  a [2J Bcc: evil@example.org');
  });

  it('mail: always, on errors, weekly, never', () => {
    const week = 7 * 24 * hour;
    for (const [mode, status, ageMs, expected] of [
      ['always', 'ok', 0, true],
      ['errors', 'ok', week * 5, false],
      ['errors', 'warning', 0, true],
      ['weekly', 'ok', week - 2 * hour, false],
      ['weekly', 'ok', week - hour / 2, true],
      ['weekly', 'failed', 0, true],
      ['never', 'failed', week, false],
    ] as const) {
      assert.equal(wantsMail(mode, make(status, 10 * week), 10 * week - ageMs), expected, `${mode} ${status}`);
    }
  });

  it('a mail: headers in ASCII, no header from outside, the body in base64', () => {
    const mail = layMail({
      sendmail: '/usr/sbin/sendmail',
      to: ['root', 'me@example.org'],
      from: '',
      subject: `Zoë\r\nBcc: evil@example.org ${'é'.repeat(80)}`,
      lines: ['Größe: 1 MB', '.'],
    });
    const [head = '', body = ''] = mail.split('\n\n');
    for (const line of head.split('\n')) assert.ok(/^[\x20-\x7e]*$/.test(line) && line.length < 100, line);
    assert.ok(!/^Bcc:/m.test(head));
    assert.match(head, /^To: root, me@example\.org$/m);
    assert.equal(Buffer.from(body, 'base64').toString('utf8'), 'Größe: 1 MB\n.\n');
    assert.equal(encodeHeader('plain'), 'plain');
    const words = encodeHeader('Zoë und Käthe'.repeat(6)).split('\r\n ');
    const decoded = words.map((word) => Buffer.from(word.slice(10, -2), 'base64').toString('utf8')).join('');
    assert.equal(decoded, 'Zoë und Käthe'.repeat(6));
  });

  it('sizes and times', () => {
    assert.deepEqual([0, 999, 1000, 12_345, 999_600, 5e9].map(showSize), [
      '0 B',
      '999 B',
      '1.00 kB',
      '12.3 kB',
      '1.00 MB',
      '5.00 GB',
    ]);
    assert.deepEqual([0, 99_000, 100_000, 2 * hour, 50 * hour].map(showSpan), [
      '0 s',
      '99 s',
      '2 min',
      '2 h 00 min',
      '2 days',
    ]);
  });
});

describe('the alarm', () => {
  const id = parseRepositoryId('0123456789abcdef0123456789abcdef');
  const look = (lastCompleteAtMs: number | undefined, serverTimeMs: number): WatchedRepository => ({
    repositoryId: id,
    name: 'main.test',
    lastCompleteAtMs,
    serverTimeMs,
    epoch: parseEpoch(1),
    lost: PackRanges.empty,
  });

  it('is raised once for an incident, and taken back once', () => {
    const late = decideAlarms([look(0, 37 * hour)], {}, {}, 36 * hour, 'h');
    assert.deepEqual(
      late.reports.map(({ status }) => status),
      ['failed'],
    );
    assert.match(late.reports[0]?.lines[0] ?? '', /37 h/);
    const still = decideAlarms([look(0, 60 * hour)], late.state, {}, 36 * hour, 'h');
    assert.deepEqual([still.reports, still.state], [[], late.state]);
    const over = decideAlarms([look(59 * hour, 61 * hour)], still.state, {}, 36 * hour, 'h');
    assert.deepEqual(
      over.reports.map(({ headline }) => headline),
      ['OK again: a complete backup of main.test has come'],
    );
    assert.deepEqual(over.state, {});
    assert.deepEqual(decideAlarms([look(59 * hour, 62 * hour)], {}, {}, 36 * hour, 'h').reports, []);
  });

  it('counts a repository that never had a snapshot from when it was first seen', () => {
    assert.deepEqual(decideAlarms([look(undefined, 40 * hour)], {}, { [id]: 39 * hour }, 36 * hour, 'h').reports, []);
    const [report] = decideAlarms([look(undefined, 80 * hour)], {}, { [id]: 39 * hour }, 36 * hour, 'h').reports;
    assert.match(report?.lines[0] ?? '', /never received/);
  });
});
