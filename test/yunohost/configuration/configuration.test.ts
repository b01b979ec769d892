// config.toml: what is taken, what is refused, with which words. The documentation lists exactly the keys there are.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { FallbackError } from '../../../src/errors/fallback-error.ts';
import { isOlder } from '../../../src/yunohost/configuration/check-machine.ts';
import {
  documentationTables,
  documentedKeys,
  exampleConfiguration,
  unknownKeys,
} from '../../../src/yunohost/configuration/describe-schema.ts';
import { parseAppList } from '../../../src/yunohost/configuration/read-app-list.ts';
import { defaultConfiguration, parseConfiguration } from '../../../src/yunohost/configuration/read-configuration.ts';
import { isInWindow } from '../../../src/yunohost/night/time-window.ts';

const refusal = (toml: string): FallbackError => {
  try {
    parseConfiguration(toml, 'config.toml');
  } catch (error) {
    assert.ok(error instanceof FallbackError, String(error));
    assert.equal(error.code, 'CONFIG_INVALID');
    assert.equal(error.exitCode, 2);
    return error;
  }
  assert.fail(`taken: ${toml}`);
};

describe('a configuration', () => {
  it('is complete when it is empty: a main server that covers all', () => {
    const { server, apps, push, report, yunohost } = defaultConfiguration();
    assert.equal(server.role, 'main');
    assert.deepEqual([apps.include, apps.exclude], [[], []]);
    assert.equal(push.method, 'archive');
    assert.equal(push.window, undefined);
    assert.deepEqual([report.mail, report.mailTo], ['errors', ['root']]);
    assert.equal(yunohost.lockTimeout, 2 * 3_600_000);
  });

  it('takes every kind of value', () => {
    const toml = `
[push]
method = "stream"
window = "22:30-06:00"
limit_upload_kib = 500
[apps]
exclude = ["wiki", "my__app-2"]
[report]
mail = "weekly"
mail_to = ["me@example.org", "root"]
[alarm]
max_age = "7d"
[system]
mail = false
`;
    const { push, apps, report, alarm, system } = parseConfiguration(toml, 'x');
    assert.deepEqual(push.window, { startMinute: 22 * 60 + 30, endMinute: 360 });
    assert.equal(push.limitUploadKib, 500);
    assert.deepEqual(apps.exclude, ['wiki', 'my__app-2']);
    assert.equal(report.mail, 'weekly');
    assert.equal(alarm.maxAge, 7 * 24 * 3_600_000);
    assert.equal(system.mail, false);
  });

  it('names the line, the reason and the near name', () => {
    for (const [toml, line, reason, hint] of [
      ['[push]\n\nmetod = "stream"\n', 3, /\[push\] has no key called metod/, /method/],
      ['[reports]\nmail = "always"\n', 1, /no section or key called reports/, /report/],
      ['[push]\nmethod = "streem"\n', 2, /push\.method must be one of "archive", "stream"/, undefined],
      ['[push]\nlimit_upload_kib = "500"\n', 2, /whole number/, undefined],
      ['[push]\nlimit_upload_kib = -1\n', 2, /whole number/, undefined],
      ['[push]\nwindow = "25:00-06:00"\n', 2, /two times of the day/, undefined],
      ['[push]\nwindow = "06:00-06:00"\n', 2, /two times of the day/, undefined],
      ['[system]\n# mail\nmail = "yes"\n', 3, /true or false/, undefined],
      ['[apps]\nexclude = "wiki"\n', 2, /list/, undefined],
      ['[apps]\nexclude = ["Wiki Two"]\n', 2, /Wiki Two/, undefined],
      ['[report]\nmail_to = ["-oops"]\n', 2, /-oops/, undefined],
      ['[report]\nmail = "weekly"\nmail_to = []\n', 3, /nobody would be told/, /mail = "never"/],
      ['[report]\nwebhook = "ftp://x"\n', 2, /https/, undefined],
      ['[extra]\npaths = ["relative"]\n', 2, /absolute/, undefined],
      ['[extra]\npaths = ["/"]\n', 2, /absolute/, undefined],
      ['[alarm]\nmax_age = "7 days"\n', 2, /length of time/, undefined],
      ['[push]\nmethod = stream\n', 2, /no TOML/, undefined],
      ['[push\n', 1, /no TOML/, undefined],
      ['method = "stream"\n', 1, /no section or key called method/, /\[push\]/],
      ['push = 1\n', 1, /must be a section/, undefined],
      ['push.metod = 1\n', 1, /no key called metod/, /method/],
      ['[apps]\ninclude = ["a1"]\nexclude = ["a1"]\n', 3, /both included and excluded/, undefined],
      ['[dns]\nmethod = "script"\n', 2, /needs dns\.script/, undefined],
      ['[server]\nrole = "fallback"\n', undefined, /needs store\.folder/, undefined],
    ] as const) {
      const error = refusal(toml);
      assert.match(error.message, reason, toml);
      if (line !== undefined) assert.match(error.message, new RegExp(`config\\.toml, line ${line}:`), toml);
      if (hint !== undefined) assert.match(error.hint, hint, toml);
    }
  });

  it('takes an empty list of people where no mail is wanted', () => {
    assert.deepEqual(parseConfiguration('[report]\nmail = "never"\nmail_to = []\n', 'x').report.mailTo, []);
  });

  it('has every key in docs/CONFIGURATION.md, with its default', () => {
    const page = readFileSync(new URL('../../../docs/CONFIGURATION.md', import.meta.url), 'utf8');
    assert.ok(
      page.includes(documentationTables()),
      'write the tables of documentationTables() into docs/CONFIGURATION.md',
    );
    for (const { about } of documentedKeys()) assert.match(about, /\.$/);
  });

  it('as an example is all comments, and each default is one that is taken', () => {
    assert.deepEqual(parseConfiguration(exampleConfiguration(), 'x'), defaultConfiguration());
    const spelled = exampleConfiguration().replaceAll(/^#(\w+ = )/gm, '$1');
    assert.deepEqual(parseConfiguration(spelled, 'x'), defaultConfiguration());
    assert.deepEqual(unknownKeys(['push.method', 'push.metod']), ['push.metod']);
  });
});

describe('small parts of it', () => {
  it('the old app_list', () => {
    const text =
      '#000# For each app you want to backup, precede by [.]\n[-]: fallback\n[.]: nextcloud\n[]: wiki\r\n[.]: my__2\nnonsense\n\n';
    assert.deepEqual(parseAppList(text), {
      saved: ['nextcloud', 'my__2'],
      notSaved: ['fallback', 'wiki'],
      unknownLines: [6],
    });
  });

  it('time windows, also over midnight', () => {
    const day = { startMinute: 60, endMinute: 360 };
    assert.deepEqual(
      [59, 60, 359, 360].map((minute) => isInWindow(day, minute)),
      [false, true, true, false],
    );
    const night = { startMinute: 1350, endMinute: 360 };
    assert.deepEqual(
      [1349, 1350, 0, 359, 360].map((minute) => isInWindow(night, minute)),
      [false, true, true, true, false],
    );
  });

  it('versions', () => {
    assert.ok(isOlder('11.0.9', '11.1') && isOlder('4.3.1', '11.1'));
    assert.ok(!isOlder('11.1', '11.1') && !isOlder('12.1.25~beta', '11.1') && !isOlder('13.0', '12.1.25'));
  });
});
