// The import rules of docs/ARCHITECTURE.md. Each rule carries its reason; `npm run rules` checks them.
const only = (name, folder, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: `^src/${folder}/` },
  to: { path: '^src/', pathNot: [folder, ...allowed].map((room) => `^src/${room}/`) },
});
const io =
  '^(node:)?(fs|fs/promises|net|tls|http|https|http2|dgram|child_process|cluster|os|sqlite|worker_threads|timers|timers/promises)$';
const pure = (folder) => ({
  name: `${folder}-is-pure`,
  severity: 'error',
  comment: `${folder}/ turns bytes into bytes: no file, socket, thread or timer, so that every test of it is exact and fast`,
  from: { path: `^src/${folder}/` },
  to: { path: [io, '^node_modules/(undici|fs-extra|commander)'] },
});

module.exports = {
  forbidden: [
    { name: 'no-circles', severity: 'error', comment: 'a circle has no lower room', from: {}, to: { circular: true } },
    {
      name: 'no-unresolvable',
      severity: 'error',
      comment: 'every import must exist',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-dev-dependencies',
      severity: 'error',
      comment: 'what runs on a server is listed as a dependency',
      from: {},
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    only('bytes-imports-nothing', 'bytes', ['errors'], 'the ground floor'),
    only('errors-import-nothing', 'errors', [], 'the ground floor'),
    only('format-stays-low', 'format', ['bytes', 'errors'], 'encode and decode need no key and no I/O'),
    only('crypto-stays-low', 'crypto', ['bytes', 'errors', 'format'], 'keys know the format they seal, nothing above'),
    only('tar-stays-low', 'tar', ['bytes', 'errors'], 'reads and writes tar headers; knows nothing of chunks'),
    only(
      'chunker-stays-low',
      'chunker',
      ['bytes', 'errors', 'tar'],
      'the chunker only chooses cuts in a stream of bytes',
    ),
    only('fs-stays-low', 'fs', ['bytes', 'errors'], 'the file system knows nothing of packs'),
    only(
      'store-has-no-key',
      'store',
      ['bytes', 'errors', 'format', 'fs'],
      'the store must be safe to run by someone who may not read',
    ),
    only(
      'server-has-no-key',
      'server',
      ['bytes', 'errors', 'format', 'fs', 'store'],
      'a server that cannot name a key cannot leak one',
    ),
    only(
      'sync-below-yunohost',
      'sync',
      ['bytes', 'errors', 'format', 'crypto', 'tar', 'chunker', 'fs', 'store'],
      'the client half serves any archive, YunoHost or not',
    ),
    only(
      'yunohost-below-cli',
      'yunohost',
      ['bytes', 'errors', 'format', 'crypto', 'tar', 'chunker', 'fs', 'store', 'sync'],
      'commands call it, it prints nothing',
    ),
    pure('bytes'),
    pure('errors'),
    pure('format'),
    pure('crypto'),
    pure('tar'),
    pure('chunker'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
