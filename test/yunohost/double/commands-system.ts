// `yunohost tools …`, `settings …`, `service …`, `firewall …`, `hook …`, `log …`.
import { type Command, flag, inOperation, value } from './command.ts';
import { UsageError, YunohostError } from './errors.ts';
import { listHooks } from './hooks.ts';
import { listOperations, operationLog } from './operations.ts';
import { postInstall } from './post-install.ts';
import { type RegenCategory, regenCategories, regenConf } from './regen-conf.ts';
import {
  addService,
  applyFirewall,
  driveService,
  openPorts,
  rawFirewall,
  removeService,
  serviceStatus,
  setPort,
} from './services.ts';
import { getSetting, readSetting, setSetting } from './settings.ts';
import { packageVersions } from './versions.ts';

const tools: readonly Command[] = [
  {
    words: 'tools postinstall',
    locks: true,
    options: [
      value('-d', '--domain'),
      value('-u', '--username'),
      value('-F', '--fullname'),
      value('-p', '--password'),
      flag('--ignore-dyndns'),
      flag('--force-diskspace'),
      flag('--i-have-read-terms-of-services'),
    ],
    run: (server, given) => {
      for (const name of ['domain', 'username', 'fullname', 'password']) {
        if (!given.has(name)) throw new YunohostError("Not a tty, can't do interactive prompts");
      }
      return inOperation(server, 'tools_postinstall', async (inner, started) => {
        const wanted = {
          domain: given.required('domain'),
          userName: given.required('username'),
          fullName: given.required('fullname'),
        };
        await postInstall(inner, wanted, started);
        return undefined;
      });
    },
  },
  { words: 'tools versions', locks: false, run: packageVersions },
  {
    words: 'tools regen-conf',
    locks: true,
    options: [flag('-f', '--force'), flag('-n', '--dry-run'), flag('-d', '--with-diff'), flag('-p', '--list-pending')],
    positional: ['names*'],
    run: (server, given) => {
      const named = given.many('names') ?? [];
      const unknown = named.find((name) => !regenCategories.some((category) => category === name));
      if (unknown !== undefined) throw new YunohostError(`The configuration category '${unknown}' is unknown`);
      const chosen = regenCategories.filter(
        (category: RegenCategory) => named.length === 0 || named.includes(category),
      );
      const applied = regenConf(server, chosen, { force: given.has('force') });
      return { applied: Object.fromEntries(applied.map((path) => [path, { status: 'updated' }])) };
    },
  },
];

const settings: readonly Command[] = [
  {
    words: 'settings get',
    locks: false,
    options: [flag('-f', '--full'), flag('-e', '--export')],
    positional: ['key'],
    run: (server, given) => getSetting(server, given.required('key')),
  },
  {
    words: 'settings set',
    locks: true,
    options: [value('-v', '--value')],
    positional: ['key'],
    run: (server, given) => {
      const before = readSetting(server, 'ssh_port');
      setSetting(server, given.required('key'), given.one('value') ?? '');
      // The hook of this setting (settings.py:341): a crash in it comes after the setting was written.
      if (server.installed && readSetting(server, 'ssh_port') !== before) {
        regenConf(server, ['ssh']);
        applyFirewall(server);
      }
      return undefined;
    },
  },
];

const services: readonly Command[] = [
  {
    words: 'service add',
    locks: true,
    options: [value('-d', '--description'), value('-l', '--log'), value('--test_status'), value('--test_conf')],
    positional: ['name'],
    run: (server, given) => {
      addService(server, given.required('name'), given.one('description') ?? '');
      return undefined;
    },
  },
  {
    words: 'service remove',
    locks: true,
    positional: ['name'],
    run: (server, given) => {
      removeService(server, given.required('name'));
      return undefined;
    },
  },
  {
    words: 'service status',
    locks: false,
    positional: ['names*'],
    run: (server, given) => serviceStatus(server, given.many('names') ?? []),
  },
  ...['start', 'stop', 'restart', 'reload', 'enable', 'disable'].map(
    (action): Command => ({
      words: `service ${action}`,
      locks: true,
      positional: ['names+'],
      run: (server, given) => {
        driveService(server, action, given.many('names') ?? []);
        return undefined;
      },
    }),
  ),
];

const protocolOf = (given: string | undefined): string => {
  if (given !== undefined && given !== 'tcp' && given !== 'udp') {
    throw new UsageError(`argument -p/--protocol: invalid choice: '${given}' (choose from 'tcp', 'udp')`);
  }
  return given ?? 'tcp';
};

const firewall: readonly Command[] = [
  {
    words: 'firewall list',
    locks: false,
    options: [flag('-r', '--raw'), value('-p', '--protocol'), flag('-f', '--forwarded')],
    run: (server, given) => {
      const protocol = protocolOf(given.one('protocol'));
      return given.has('raw') ? rawFirewall(server) : { [protocol]: openPorts(server, protocol) };
    },
  },
  ...['open', 'close'].map(
    (action): Command => ({
      words: `firewall ${action}`,
      locks: true,
      options: [value('-p', '--protocol'), flag('--upnp'), flag('--no-reload'), flag('--upnp-only')],
      positional: action === 'open' ? ['port', 'comment?'] : ['port'],
      run: (server, given) => {
        const protocol = protocolOf(given.one('protocol'));
        const options = { comment: given.one('comment') ?? '', reload: !given.has('no-reload') };
        setPort(server, protocol, given.required('port'), action === 'open', options);
        return undefined;
      },
    }),
  ),
  {
    words: 'firewall reload',
    locks: true,
    options: [flag('--skip-upnp')],
    run: (server) => {
      applyFirewall(server);
      return undefined;
    },
  },
];

const logs: readonly Command[] = [
  {
    words: 'hook list',
    locks: false,
    options: [value('-l', '--list-by'), flag('-i', '--show-info')],
    positional: ['action'],
    run: (server, given) => {
      const hooks = listHooks(server, given.required('action'));
      // A Python set: the order says nothing, so here it is not that of the priorities either.
      const names = [...new Set(hooks.map((hook) => hook.name))].sort((a, b) =>
        (a.at(-1) ?? '') < (b.at(-1) ?? '') ? -1 : 1,
      );
      return { hooks: names };
    },
  },
  {
    words: 'log list',
    locks: false,
    options: [value('-l', '--limit'), flag('-d', '--with-details'), flag('-s', '--with-suboperations')],
    run: (server, given) => {
      const limit = Number(given.one('limit') ?? 50);
      return {
        operation: listOperations(server)
          .slice(-limit)
          .map((name) => ({ name, path: `${name}.yml` })),
      };
    },
  },
  ...['show', 'display'].map(
    (action): Command => ({
      words: `log ${action}`,
      locks: false,
      options: [value('-n', '--number'), flag('-i', '--filter-irrelevant'), flag('-s', '--with-suboperations')],
      positional: ['path'],
      run: (server, given) => ({ name: given.required('path'), logs: operationLog(server, given.required('path')) }),
    }),
  ),
];

export const systemCommands: readonly Command[] = [...tools, ...settings, ...services, ...firewall, ...logs];
