// `yunohost domain …` and `dyndns …`.
import { installedApps, settingsOf } from './app-files.ts';
import { type Command, checkPattern, flag, inOperation, value } from './command.ts';
import { pushZone, suggestZone, updateDynDns } from './dns.ts';
import {
  addDomain,
  certificateStatus,
  domainNames,
  domainSettings,
  installSelfSigned,
  mainDomain,
  removeDomain,
  setMainDomain,
  topDomains,
} from './domains.ts';
import { textAt } from './yaml.ts';

const domainPattern = /^([^\W_]+([-]*[^\W_]+)*\.)+((xn--)?[^\W_]{2,})$/u;
const domainText = 'Must be a valid domain name (e.g. my-domain.org)';

export const domainCommands: readonly Command[] = [
  {
    words: 'domain list',
    locks: false,
    options: [flag('--exclude-subdomains'), flag('--tree')],
    run: (server, given) => {
      const all = domainNames(server);
      return { domains: given.has('exclude-subdomains') ? topDomains(all) : all, main: mainDomain(server) };
    },
  },
  {
    words: 'domain info',
    locks: false,
    positional: ['domain'],
    run: (server, given) => {
      const domain = given.required('domain');
      const certificate = certificateStatus(server, domain);
      const apps = installedApps(server).filter((app) => textAt(settingsOf(server, app), 'domain') === domain);
      const registrar = textAt(domainSettings(server, domain), 'registrar') ?? 'None';
      return { certificate, registrar, apps: apps.map((id) => ({ id })), main: mainDomain(server) === domain };
    },
  },
  {
    words: 'domain add',
    locks: true,
    options: [flag('--ignore-dyndns'), flag('--install-letsencrypt-cert')],
    positional: ['domain'],
    run: (server, given) => {
      checkPattern('domain', given.one('domain'), domainPattern, domainText);
      return inOperation(server, 'domain_add', async (inner, started) => {
        await addDomain(inner, given.required('domain'), started, { ignoreDynDns: given.has('ignore-dyndns') });
        return undefined;
      });
    },
  },
  {
    words: 'domain remove',
    locks: true,
    options: [flag('-r', '--remove-apps'), flag('-f', '--force'), flag('--ignore-dyndns')],
    positional: ['domain'],
    run: (server, given) =>
      inOperation(server, 'domain_remove', async (inner, started) => {
        const domain = given.required('domain');
        const apps = installedApps(server).filter((app) => textAt(settingsOf(server, app), 'domain') === domain);
        const options = { ignoreDynDns: given.has('ignore-dyndns'), force: given.has('force') };
        await removeDomain(inner, domain, apps, started, options);
        return undefined;
      }),
  },
  {
    words: 'domain main-domain',
    locks: true,
    options: [value('-n', '--new-main-domain')],
    run: (server, given) => {
      const wanted = given.one('new-main-domain');
      if (wanted === undefined) return { current_main_domain: mainDomain(server) };
      return inOperation(server, 'domain_main_domain', (inner, started) => {
        setMainDomain(inner, wanted, started);
        return undefined;
      });
    },
  },
  {
    words: 'domain cert status',
    locks: false,
    options: [flag('--full')],
    positional: ['domain_list*'],
    run: (server, given) => {
      const named = given.many('domain_list') ?? [];
      const domains = named.length > 0 ? named : domainNames(server);
      return { certificates: Object.fromEntries(domains.map((domain) => [domain, certificateStatus(server, domain)])) };
    },
  },
  ...['install', 'renew'].map(
    (action): Command => ({
      words: `domain cert ${action}`,
      locks: true,
      options: [flag('--force'), flag('--no-checks'), flag('--self-signed'), flag('--email')],
      positional: ['domain_list*'],
      run: (server, given) => {
        const named = given.many('domain_list') ?? [];
        for (const domain of named.length > 0 ? named : domainNames(server)) {
          certificateStatus(server, domain);
          const isSelfSigned = given.has('self-signed');
          installSelfSigned(server, domain, isSelfSigned ? 'selfsigned' : 'letsencrypt');
          const kind = isSelfSigned ? 'Self-signed' : "Let's Encrypt";
          server.log('SUCCESS', `${kind} certificate now installed for the domain '${domain}'`);
        }
        return undefined;
      },
    }),
  ),
  {
    words: 'domain dns suggest',
    locks: false,
    positional: ['domain'],
    run: (server, given) => suggestZone(server, given.required('domain')),
  },
  {
    words: 'domain dns push',
    locks: true,
    options: [flag('-d', '--dry-run'), flag('--force'), flag('--purge')],
    positional: ['domain'],
    run: (server, given) =>
      inOperation(server, 'domain_dns_push', (inner, started) => {
        started();
        const [dryRun, force, purge] = [given.has('dry-run'), given.has('force'), given.has('purge')];
        return pushZone(inner, given.required('domain'), { dryRun, force, purge });
      }),
  },
  {
    words: 'dyndns update',
    locks: true,
    options: [value('-d', '--domain'), flag('-f', '--force'), flag('-D', '--dry-run')],
    run: (server, given) => {
      updateDynDns(server, { domain: given.one('domain'), force: given.has('force'), dryRun: given.has('dry-run') });
      return undefined;
    },
  },
];
