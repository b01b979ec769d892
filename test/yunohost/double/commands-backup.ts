// `yunohost backup …`.
import { archiveInfo, deleteArchive, listArchives, listWithInfo } from './backup-archives.ts';
import { createBackup } from './backup-create.ts';
import { restoreBackup } from './backup-restore.ts';
import { type Command, checkPattern, flag, inOperation, many, value } from './command.ts';

const namePattern = /^[\p{L}\p{N}_\-.]{1,50}(?<!\.)$/u;
const nameText = 'Must be a valid filename with max 30 characters, alphanumeric and -_. characters only';

export const backupCommands: readonly Command[] = [
  {
    words: 'backup create',
    locks: true,
    options: [
      value('-n', '--name'),
      value('-d', '--description'),
      value('-o', '--output-directory'),
      many('--methods'),
      many('--system'),
      many('--apps'),
      flag('--dry-run'),
    ],
    run: (server, given) => {
      checkPattern('name', given.one('name'), namePattern, nameText);
      return inOperation(server, 'backup_create', (inner, started) =>
        createBackup(
          inner,
          {
            name: given.one('name'),
            description: given.one('description'),
            output: given.one('output-directory'),
            methods: given.many('methods'),
            system: given.many('system'),
            apps: given.many('apps'),
            dryRun: given.has('dry-run'),
          },
          started,
        ),
      );
    },
  },
  {
    words: 'backup restore',
    locks: true,
    options: [many('--system'), many('--apps'), flag('--force')],
    positional: ['name'],
    run: (server, given) =>
      inOperation(server, 'backup_restore', async (inner, started) => {
        const [system, apps] = [given.many('system'), given.many('apps')];
        const wanted = { name: given.required('name'), system, apps, force: given.has('force') };
        return { ...(await restoreBackup(inner, wanted, started)) };
      }),
  },
  {
    words: 'backup list',
    locks: false,
    options: [flag('-i', '--with-info'), flag('-H', '--human-readable')],
    run: (server, given) => ({
      archives: given.has('with-info') ? listWithInfo(server, given.has('human-readable')) : listArchives(server),
    }),
  },
  {
    words: 'backup info',
    locks: false,
    options: [flag('-d', '--with-details'), flag('-H', '--human-readable')],
    positional: ['name'],
    run: (server, given) =>
      archiveInfo(server, given.required('name'), {
        details: given.has('with-details'),
        human: given.has('human-readable'),
      }),
  },
  {
    words: 'backup delete',
    locks: true,
    positional: ['name'],
    run: async (server, given) => {
      checkPattern('name', given.one('name'), namePattern, nameText);
      await deleteArchive(server, given.required('name'));
      return undefined;
    },
  },
  {
    words: 'backup download',
    locks: false,
    positional: ['name'],
    run: (server) => {
      const text = "This option is only meant for the API/webadmin and doesn't make sense for the command line.";
      server.log('ERROR', text);
      return undefined;
    },
  },
];
