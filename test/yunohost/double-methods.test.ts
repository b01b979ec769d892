// Section 5: backup methods other than tar, and the hooks that do the work.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { before, beforeEach, describe, it } from 'node:test';
import { lockFile } from './double/lock.ts';
import { runYunohost } from './double/run-yunohost.ts';
import type { Server } from './double/server.ts';
import { archivePath, demoSql, smallServer } from './double/testing.ts';

describe('custom backup methods (section 5)', () => {
  let server: Server;
  const seen = () => server.path('/tmp/seen');
  const layHook = (file: string, text: string) =>
    server.write(`/etc/yunohost/hooks.d/backup_method/${file}`, text, 0o755);
  const create = (method: string, environment: Record<string, string> = {}) =>
    runYunohost(
      server.root,
      [
        'backup',
        'create',
        '-n',
        'night',
        '--methods',
        method,
        '--apps',
        'demosql',
        '-d',
        'a "b" c',
        '--output-as',
        'json',
      ],
      { environment },
    );

  before(async () => {
    server = await smallServer({ apps: [demoSql], users: ['alice'], userBytes: 10_000 });
  });
  beforeEach(() => {
    for (const path of ['/etc/yunohost/hooks.d', '/tmp/seen'])
      rmSync(server.path(path), { recursive: true, force: true });
  });

  it('calls the hook with six arguments, first need_mount, then backup', async () => {
    layHook('05-store', `printf '%s|' "$@" >> ${seen()}; echo >> ${seen()}; [ "$1" != need_mount ]\n`);
    const ran = await create('store');
    assert.equal(ran.code, 0);
    const size = (ran.json as { size: number }).size;
    const rest = `${server.path('/home/yunohost.backup/tmp/night')}|night|${server.path('/home/yunohost.backup/archives')}|${size}|a "b" c|`;
    assert.equal(readFileSync(seen(), 'utf8'), `need_mount|${rest}\nbackup|${rest}\n`);
    assert.match(ran.stderr, /^ERROR Could not run script: \/etc\/yunohost\/hooks\.d\/backup_method\/05-store$/m);
  });

  it('runs it by bash in the hooks’ folder, with the caller’s environment but without HOME and YNH_CONTEXT', async () => {
    layHook('05-store', `[ "$1" = backup ] || exit 1\n{ echo "$PWD"; env; } > ${seen()}\n`);
    await create('store', { FOO: 'bar', HOME: '/root', YNH_CONTEXT: 'regenconf' });
    const lines = readFileSync(seen(), 'utf8').split('\n');
    assert.equal(lines[0], server.path('/etc/yunohost/hooks.d/backup_method'));
    assert.ok(lines.includes('FOO=bar'));
    assert.ok(lines.includes('YNH_INTERFACE=cli'));
    assert.ok(lines.includes('BASH_XTRACEFD=7'));
    for (const name of ['YNH_CWD', 'YNH_STDRETURN', 'YNH_STDINFO'])
      assert.ok(
        lines.some((line) => line.startsWith(`${name}=`)),
        name,
      );
    assert.equal(
      lines.some((line) => /^(HOME|YNH_CONTEXT)=/.test(line)),
      false,
    );
  });

  it('turns its stderr into WARNING and $YNH_STDINFO into INFO lines; stdout and the trace go to the log', async () => {
    layHook('05-store', '[ "$1" = backup ] || exit 1\necho loud >&2\necho told >&$YNH_STDINFO\necho plain\n');
    const ran = await create('store');
    assert.match(ran.stderr, /^WARNING loud$/m);
    assert.match(ran.stdout, /^INFO told$/m);
    assert.doesNotMatch(ran.stdout, /plain/);
    const log = server.read('/var/log/yunohost/yunohost-cli.log');
    assert.match(log, /DEBUG +yunohost - plain/);
    assert.match(log, /\+ echo loud/);
  });

  it('leaves no archive, reserves no name, and cleans the work folder', async () => {
    layHook(
      '05-store',
      '[ "$1" = backup ] && test -f "$2/backup.csv" -a -f "$2/info.json" -a -f "$2/apps/demosql/backup/db.sql"\n',
    );
    for (let night = 0; night < 2; night++) assert.equal((await create('store')).code, 0);
    assert.equal(existsSync(archivePath(server.root, 'night.tar')), false);
    assert.equal(existsSync(archivePath(server.root, 'night.info.json')), false);
    assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/night')), false);
  });

  it('arranges the files in the work folder when need_mount exits 0', async () => {
    layHook(
      '05-store',
      `[ "$1" = need_mount ] && exit 0\ncd "$2" && cat apps/demosql/backup/var/www/demosql/run > ${seen()} && ls -l apps/demosql/backup/var/www/demosql/current >> ${seen()}\n`,
    );
    assert.equal((await create('store')).code, 0);
    assert.match(readFileSync(seen(), 'utf8'), /^#!\/bin\/sh\nexec sleep 1\n.*current -> src\/module-0\n$/);
    assert.equal(existsSync(server.path('/var/www/demosql/run')), true);
  });

  it('fails the command when the hook fails, after cleaning', async () => {
    layHook('05-store', 'exit 1\n');
    const ran = await create('store');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /ERROR Custom backup method could not get past the 'backup' step/);
    assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/night')), false);
  });

  it('cleans up and exits 1 on Ctrl-C while the hook runs; SIGTERM leaves everything as it lies', async () => {
    layHook('05-store', `[ "$1" = backup ] && touch ${seen()} && sleep 2 && exit 0; exit 1\n`);
    const args = ['backup', 'create', '-n', 'night', '--methods', 'store', '--apps'];
    const stopped = await runYunohost(server.root, args, { killWhen: () => existsSync(seen()), killSignal: 'SIGINT' });
    assert.equal(stopped.code, 1);
    assert.match(stopped.stderr, /ERROR Operation interrupted/);
    assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/night')), false);
    assert.equal(existsSync(server.path(lockFile)), false);
    rmSync(seen());
    const ended = await runYunohost(server.root, args, { killWhen: () => existsSync(seen()), killSignal: 'SIGTERM' });
    assert.equal(ended.signal, 'SIGTERM');
    assert.equal(existsSync(server.path('/home/yunohost.backup/tmp/night/backup.csv')), true);
    assert.equal(existsSync(server.path(lockFile)), true);
  });

  it('counts a method without a hook as done: nothing is saved, and the exit is 0', async () => {
    const ran = await create('nosuchmethod');
    assert.equal(ran.code, 0);
    assert.match(ran.stdout, /SUCCESS Backup created: night/);
    assert.deepEqual((ran.json as { results: { apps: object } }).results.apps, { demosql: 'Success' });
    assert.equal(existsSync(archivePath(server.root, 'night.tar')), false);
  });

  it('also runs hooks whose name begins with METHOD_', async () => {
    for (const name of ['05-store', '06-store_more', '07-other']) layHook(name, `echo $0 $1 >> ${seen()}\n`);
    await create('store');
    const runs = readFileSync(seen(), 'utf8')
      .split('\n')
      .filter((line) => line.endsWith(' backup'));
    assert.deepEqual(runs, ['./05-store backup', './06-store_more backup']);
  });

  it('lets a hook call yunohost while the lock is held', async () => {
    layHook(
      '05-store',
      `[ "$1" = backup ] || exit 1\n"$DOUBLE" --timeout 0 settings set misc.backup.backup_compress_tar_archives -v 1\n`,
    );
    const { yunohostDouble } = await import('./double/run-yunohost.ts');
    assert.equal((await create('store', { DOUBLE: yunohostDouble })).code, 0);
    assert.match(server.read('/etc/yunohost/settings.yml'), /backup_compress_tar_archives: (1|true)/);
  });

  it('cannot follow tar in one command: the first method has cleaned the work folder', async () => {
    layHook('05-store', `[ "$1" = backup ] || exit 1\nls "$2" > ${seen()} 2>&1 || true\n`);
    const ran = await runYunohost(server.root, [
      'backup',
      'create',
      '-n',
      'both',
      '--apps',
      '--methods',
      'tar',
      'store',
    ]);
    assert.equal(ran.code, 0);
    assert.match(readFileSync(seen(), 'utf8'), /No such file/);
  });

  it('loses the hooks whose file name ends with an app’s id, when that app is removed', async () => {
    for (const name of ['05-demosql', '05-demosql_app']) layHook(name, 'true\n');
    chmodSync(server.path('/etc/yunohost/hooks.d/backup_method/05-demosql'), 0o755);
    await runYunohost(server.root, ['app', 'remove', 'demosql']);
    assert.equal(server.has('/etc/yunohost/hooks.d/backup_method/05-demosql'), false);
    assert.equal(server.has('/etc/yunohost/hooks.d/backup_method/05-demosql_app'), true);
  });
});

describe('backup hooks that someone added (section 2)', () => {
  it('are listed, run by bash, and their restore hook travels along', async () => {
    const server = await smallServer({ apps: [], users: ['alice'] });
    server.write('/srv/extra/file.txt', 'extra\n');
    server.write(
      '/etc/yunohost/hooks.d/backup/60-extra',
      `echo "\\"${server.path('/srv/extra')}\\",\\"data/extra\\"" >> "$YNH_BACKUP_CSV"\n`,
      0o755,
    );
    server.write('/etc/yunohost/hooks.d/restore/60-extra', 'cp -a "$1/data/extra/." "$TARGET"\n', 0o755);
    const hooks = await runYunohost(server.root, ['hook', 'list', 'backup', '--output-as', 'json']);
    assert.ok((hooks.json as { hooks: string[] }).hooks.includes('extra'));
    const ran = await runYunohost(server.root, [
      'backup',
      'create',
      '-n',
      'x',
      '--system',
      'extra',
      'conf_ldap',
      '--output-as',
      'json',
    ]);
    assert.deepEqual((ran.json as { results: { system: object } }).results.system, {
      extra: 'Success',
      conf_ldap: 'Success',
    });
    const { memberNames } = await import('./double/testing.ts');
    const names = memberNames(server.root, 'x.tar');
    assert.ok(names.includes('data/extra/file.txt') && names.includes('hooks/restore/60-extra'));
  });
});
