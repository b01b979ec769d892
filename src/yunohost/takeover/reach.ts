// Keeps the fallback server reachable when the main server's system lies over its own: domains, certificates, SSH, firewall,
// owners of homes. Every function may be called again at any time.
import { existsSync } from 'node:fs';
import { lstat, readdir, readFile, readlink, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fsExtra from 'fs-extra';
import { withFsErrors } from '../../fs/map-fs-error.ts';
import type { Port, Protocol } from '../command/server-commands.ts';
import { type OwnState, sshdConfigPath } from './own-state.ts';
import { longCall, runSmall, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/**
 * A restore copies `domains` into a folder `domains` that is there already, and so for `portal`: settings with registrar
 * keys then lie one folder too deep (YunoHost/issues#2288). Moves them up. @returns what was moved.
 */
export async function liftNestedFolders(host: TakeoverHost): Promise<string[]> {
  const { paths } = host.yunohost;
  const moved: string[] = [];
  await withFsErrors('put the settings of domains in their place', async () => {
    for (const name of ['domains', 'portal']) {
      const folder = paths.at(`/etc/yunohost/${name}`);
      const nested = join(folder, name);
      const facts = await lstat(nested).catch(() => undefined);
      if (facts?.isDirectory() !== true) continue;
      for (const entry of await readdir(nested)) {
        await fsExtra.move(join(nested, entry), join(folder, entry), { overwrite: true });
        moved.push(`${name}/${entry}`);
      }
      await rmdir(nested);
    }
  });
  return moved;
}

/** Adds the domains that are missing, with their old certificates. @throws as YunohostCommand. */
export async function keepDomains(
  host: TakeoverHost,
  wanted: readonly string[],
  certificates: OwnState['certificates'] = {},
): Promise<string[]> {
  const { yunohost } = host;
  const { domains } = await yunohost.domains.list(shortCall(host));
  const added: string[] = [];
  for (const domain of wanted) {
    if (domains.includes(domain)) continue;
    tell(host, `adding the domain ${domain} again`);
    await yunohost.domains.add(domain, longCall(host));
    added.push(domain);
  }
  const relinked: string[] = [];
  for (const [domain, target] of Object.entries(certificates)) {
    if (wanted.includes(domain) && (await relinkCertificate(host, domain, target))) relinked.push(domain);
  }
  if (relinked.length > 0) await yunohost.server.driveService('reload', 'nginx', longCall(host));
  return added;
}

/** Points a domain at the certificate that it had; the self-signed one that `domain add` made goes. */
async function relinkCertificate(host: TakeoverHost, domain: string, target: string): Promise<boolean> {
  const { certificates } = host.yunohost.paths;
  const placeOf = (link: string): string =>
    link.startsWith('/') ? host.yunohost.paths.at(link) : join(certificates, link);
  const link = join(certificates, domain);
  const current = await readlink(link).catch(() => undefined);
  if (current === target || !existsSync(placeOf(target))) return false;
  await withFsErrors('put a certificate back', async () => {
    await rm(link, { recursive: true, force: true });
    await symlink(target, link);
    // YunoHost links by `/etc/yunohost/certs//DOMAIN-history/DATE-selfsigned`.
    const isMade = current?.includes(`${domain}-history/`) === true && current.endsWith('-selfsigned');
    if (isMade) await rm(placeOf(current), { recursive: true, force: true });
  });
  return true;
}

/** Where sshd listens by its configuration, 22 when that says nothing: as YunoHost reads it. */
const portOfSshd = (text: string | undefined): number => Number(/^Port[ \t]+([0-9]+)$/m.exec(text ?? '')?.[1] ?? 22);

/** Sets SSH's port and configuration as they were, and opens the ports that were open. */
export async function keepAccess(host: TakeoverHost, own: OwnState): Promise<void> {
  const { yunohost } = host;
  const { server, paths } = yunohost;
  const call = longCall(host);
  const sshd = paths.at(sshdConfigPath);
  const wanted = own.sshdConfig === undefined ? undefined : Buffer.from(own.sshdConfig, 'base64');
  const current = await readFile(sshd).catch(() => undefined);
  // The port on which sshd listens comes first, before and after: YunoHost crashes over any other change of the firewall or of
  // the port's setting while the rules that the main server's archive brought do not know it.
  const sshPorts = [portOfSshd(current?.toString('latin1')), portOfSshd(wanted?.toString('latin1')), own.sshPort];
  await keepOpen(host, 'tcp', sshPorts);
  if (Number(await server.setting('security.ssh.ssh_port', shortCall(host))) !== own.sshPort) {
    tell(host, `setting SSH back to port ${own.sshPort}`);
    await server.setSetting('security.ssh.ssh_port', String(own.sshPort), call);
  }
  if (wanted !== undefined && (await readFile(sshd).catch(() => undefined))?.equals(wanted) !== true) {
    await withFsErrors('put sshd_config back', () => writeFile(sshd, wanted));
    await server.driveService('reload', 'ssh', call);
  }
  await keepOpen(host, 'tcp', own.openTcp);
  await keepOpen(host, 'udp', own.openUdp);
}

async function keepOpen(host: TakeoverHost, protocol: Protocol, ports: readonly Port[]): Promise<void> {
  const { server } = host.yunohost;
  const open = await server.openPorts(protocol, shortCall(host));
  for (const port of new Set(ports)) {
    if (open.includes(port)) continue;
    tell(host, `opening port ${port}/${protocol} again`);
    await server.openPort(protocol, port, 'kept open by fallback', longCall(host));
  }
}

/**
 * Archives are unpacked before users are replaced: a user whom both servers have owns files by the number that the name had
 * before. Gives these files to the user of today.
 */
export async function giveHomes(host: TakeoverHost, before: OwnState['homeOwners']): Promise<void> {
  for (const { username } of await host.yunohost.apps.users(shortCall(host))) {
    const old = before[username];
    const home = join(host.yunohost.paths.homes, username);
    if (old === undefined || !existsSync(home)) continue;
    const passes = [
      [`--from=${old.userId}`, username],
      [`--from=:${old.groupId}`, `:${username}`],
    ] as const;
    for (const [from, to] of passes) {
      const failure = await runSmall(host, host.chown, ['-hR', from, to, home]);
      if (failure !== undefined) warn(host, `The owner of files in /home/${username} could not be set: ${failure}`);
    }
  }
}

/** Hides or shows the tiles of apps: one visible tile on a domain that a system restore loses makes YunoHost crash. */
export async function setTiles(host: TakeoverHost, permissions: readonly string[], isShown: boolean): Promise<void> {
  for (const permission of permissions) await host.yunohost.apps.setTile(permission, isShown, longCall(host));
}

/** Permissions of these apps that may show a tile. */
export async function tilesOf(host: TakeoverHost, apps: readonly string[]): Promise<string[]> {
  const { yunohost } = host;
  const shown: string[] = [];
  const permissions = await yunohost.apps.permissions(shortCall(host));
  for (const { name, url } of permissions) {
    const [app = '', part = 'main'] = name.split('.');
    if (url === undefined || !apps.includes(app)) continue;
    const kept = await yunohost.apps.setting(app, '_permissions', shortCall(host)).catch(() => undefined);
    if (!isHidden(kept, part)) shown.push(name);
  }
  return shown;
}

/** Whether an app's stored permissions say of one that its tile is hidden. */
function isHidden(stored: string | undefined, part: string): boolean {
  try {
    const all: unknown = JSON.parse(stored ?? '{}');
    const one =
      typeof all === 'object' && all !== null ? new Map<string, unknown>(Object.entries(all)).get(part) : undefined;
    return typeof one === 'object' && one !== null && 'show_tile' in one && one.show_tile === false;
  } catch {
    return false;
  }
}
