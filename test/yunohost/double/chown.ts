// The double of `chown` for paths of a double’s root: names are the server’s own, real uids for root, the sidecar for others.
// `--from=USER:GROUP` (either may be left out) changes only what belongs to them, as GNU chown does.
import { readAccounts } from './accounts.ts';
import { walk } from './files.ts';
import type { Owner } from './owners.ts';
import { Server } from './server.ts';

const words = process.argv.slice(2).filter((word) => word !== '--');
const isDeep = words.some((word) => /^-\w*R/.test(word) || word === '--recursive');
const [names = '', ...paths] = words.filter((word) => !word.startsWith('-'));
const server = new Server({ root: process.env['YUNOHOST_DOUBLE_ROOT'] ?? '/nowhere' });
const accounts = readAccounts(server);
const idOf = (name: string, look: (name: string) => number | undefined) =>
  /^\d+$/.test(name) ? Number(name) : look(name);

/** `user`, `user:group`, `user:` (its own group), `:group`; undefined stands for “as it is”, NaN for an unknown name. */
function readOwner(text: string, isExact: boolean): Partial<Owner> {
  const [user = '', group] = text.split(':');
  const own = group === '' && user !== '' && !isExact ? user : group;
  return {
    ...(user === '' ? {} : { userId: idOf(user, accounts.userId) ?? Number.NaN }),
    ...(own === undefined || own === '' ? {} : { groupId: idOf(own, accounts.groupId) ?? Number.NaN }),
  };
}

const wanted = readOwner(names, false);
const from = readOwner(words.find((word) => word.startsWith('--from='))?.slice(7) ?? '', true);
if (names === '' || Object.values(wanted).some(Number.isNaN) || paths.length === 0) {
  process.stderr.write(`chown: invalid user: '${names}'\n`);
  process.exitCode = 1;
} else {
  const ownerOf = server.owners.reader();
  const changes: [string, Owner][] = [];
  for (const top of paths) {
    for (const { path } of isDeep ? walk(top) : [{ path: top }]) {
      const old = ownerOf(path);
      const isMeant = (from.userId ?? old.userId) === old.userId && (from.groupId ?? old.groupId) === old.groupId;
      if (isMeant) changes.push([path, { ...old, ...wanted }]);
    }
  }
  server.owners.setAll(changes);
}
