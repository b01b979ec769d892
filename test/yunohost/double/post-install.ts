// `tools postinstall`, and the bare machine it starts from: Debian with the YunoHost packages, nothing set up.
import { writeBaseAccounts } from './accounts.ts';
import { installedApps } from './app-files.ts';
import { addDomain, setMainDomain } from './domains.ts';
import { YunohostError } from './errors.ts';
import { configFile, emptyDirectory, writeLdap } from './ldap.ts';
import { regenConf } from './regen-conf.ts';
import type { Server } from './server.ts';
import { firstFirewall } from './services.ts';
import { writePortalConf } from './ssowat.ts';
import { writeSystemHooks } from './system-parts.ts';
import { createUser } from './users.ts';
import { formatYaml } from './yaml.ts';

/** Lays down a machine before its post-install. The package itself already makes /etc/yunohost/domains (section 6 trap 4). */
export function layBareMachine(server: Server): void {
  writeBaseAccounts(server);
  writeSystemHooks(server);
  for (const folder of ['apps', 'certs', 'domains', 'portal', 'dyndns']) server.makeFolder(`/etc/yunohost/${folder}`);
  for (const folder of ['/home', '/var/mail', '/var/www', '/var/run', '/var/log/yunohost/operations', '/tmp']) {
    server.makeFolder(folder);
  }
  server.write('/etc/ldap/ldap.conf', 'BASE dc=yunohost,dc=org\nURI ldapi:///\n');
  server.write(configFile, 'dn: cn=config\nobjectClass: olcGlobal\ncn: config\n\n', 0o600);
  writeLdap(server, emptyDirectory());
  server.write('/etc/yunohost/firewall.yml', firstFirewall(22));
  server.write('/etc/yunohost/settings.yml', '{}\n', 0o600);
  server.write('/etc/ssowat/conf.json.persistent', '{}\n');
  server.write('/var/cache/yunohost/repo/default.json', '{"apps": {}}\n');
  server.write('/.double/public-ip', '{"ipv4":"203.0.113.10","ipv6":null}\n');
}

export interface PostInstall {
  readonly domain: string;
  readonly userName: string;
  readonly fullName: string;
}

/** The post-install: first domain, first user (an admin), all configuration. */
export async function postInstall(server: Server, wanted: PostInstall, started: () => void): Promise<void> {
  if (server.installed) throw new YunohostError('YunoHost is already installed');
  if (installedApps(server).length > 0) {
    throw new YunohostError(
      "It looks like you're trying to re-postinstall a system that was already working previously ...",
    );
  }
  started();
  server.log('INFO', 'Installing YunoHost…');
  const system = { mail: { allowed: ['all_users'] }, sftp: { allowed: [] }, ssh: { allowed: ['admins'] } };
  server.write('/etc/yunohost/permissions.yml', formatYaml(system));
  await addDomain(server, wanted.domain);
  setMainDomain(server, wanted.domain);
  server.strike('postinstall-domain');
  await createUser(server, { name: wanted.userName, fullName: wanted.fullName, domain: wanted.domain, admin: true });
  server.write('/etc/yunohost/installed', '');
  regenConf(server, undefined, { force: true });
  writePortalConf(server);
  server.log('SUCCESS', 'YunoHost is now configured');
  server.log('WARNING', 'The post-install completed! To finalize your setup, please consider: …');
}
