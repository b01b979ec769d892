// Plain values of a settings.yml, as PyYAML writes them and as people do.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { settingIn } from '../../../src/yunohost/command/app-settings.ts';
import { dataFolderIn } from '../../../src/yunohost/left-out.ts';

const values: readonly (readonly [written: string, value: string | undefined])[] = [
  ['data_dir: /home/yunohost.app/wiki', '/home/yunohost.app/wiki'],
  ['data_dir:   /srv/a b  ', '/srv/a b'],
  ["data_dir: '/srv/a: b'", '/srv/a: b'],
  ["data_dir: '/srv/Anna''s # files'", "/srv/Anna's # files"],
  ["data_dir: /srv/Anna's", "/srv/Anna's"],
  ['data_dir: "/srv/caf\\xE9/\\u20AC/\\U0001F600/\\"q\\"/\\\\"', '/srv/café/€/😀/"q"/\\'],
  ['data_dir: "/srv/caf\\xE9 \\\n  \\ and more"', '/srv/café  and more'],
  ["data_dir: '/srv/long\n  name'", '/srv/long name'],
  ['data_dir: /srv/long\n  name', '/srv/long name'],
  ['data_dir: /srv/wiki # on the large disk', '/srv/wiki'],
  ['data_dir: "/srv/wiki"   # on the large disk', '/srv/wiki'],
  ['data_dir: /srv/wiki#1', '/srv/wiki#1'],
  ['data_dir: null', undefined],
  ['data_dir: ~', undefined],
  ["data_dir: 'null'", 'null'],
  ['data_dir:', undefined],
  ['data_dir:   ', undefined],
  ["data_dir: ''", undefined],
  ['data_dir: # none', undefined],
  ['data_dir:\n  a: 1', undefined],
  ['data_dir: {}', undefined],
  ['old_data_dir: /srv/old', undefined],
  ['data_dirs: /srv/old', undefined],
];

describe('settings of an app', () => {
  for (const [written, value] of values) {
    it(`reads ${JSON.stringify(written)}`, () => {
      const yaml = `app: wiki\n${written}\ndomain: main.test\n`;
      assert.equal(settingIn(yaml, 'data_dir'), value);
      assert.equal(settingIn(yaml.replaceAll('\n', '\r\n'), 'data_dir'), value);
      assert.equal(settingIn(yaml, 'domain'), 'main.test');
      assert.equal(settingIn(written, 'data_dir'), value);
    });
  }

  it('takes only an absolute path for the folder of the data', () => {
    assert.equal(dataFolderIn('data_dir: /srv/wiki\n', 'wiki'), '/srv/wiki');
    for (const other of ['null', 'wiki', '../wiki', "''", '/', '/srv/../etc']) {
      assert.equal(dataFolderIn(`data_dir: ${other}\n`, 'wiki'), '/home/yunohost.app/wiki');
    }
  });
});
