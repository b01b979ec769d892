// The version that this server says it has: a state file, so that a test can make two servers differ.
import type { Server } from './server.ts';

const file = '/.double/version';

export function yunohostVersion(server: Server): string {
  return server.readOr(file, '12.1.25').trim();
}

export function setYunohostVersion(server: Server, version: string): void {
  server.write(file, version);
}

/** What `tools versions` and `--version` print (section 1). */
export function packageVersions(server: Server): Record<string, { version: string; repo: string }> {
  const version = yunohostVersion(server);
  const names = ['yunohost', 'yunohost-admin', 'yunohost-portal', 'moulinette', 'ssowat'];
  return Object.fromEntries(
    names.map((name) => [name, { version: name === 'yunohost' ? version : '12.1.4', repo: 'stable' }]),
  );
}
