// Services and the firewall: enough of `service` and `firewall` for a caller to add, look and open ports.
import { checkPattern } from './command.ts';
import { PythonCrash, YunohostError } from './errors.ts';
import type { Value } from './output.ts';
import { regenConf } from './regen-conf.ts';
import type { Server } from './server.ts';
import { setServiceState, stateOfService } from './service-states.ts';
import { formatYaml, mapAt, parseYaml, type YamlMap } from './yaml.ts';

const servicesFile = '/etc/yunohost/services.yml';
const firewallFile = '/etc/yunohost/firewall.yml';
const core = [
  'dnsmasq',
  'dovecot',
  'mysql',
  'nftables',
  'nginx',
  'postfix',
  'postgresql',
  'slapd',
  'ssh',
  'yunohost-api',
];

export function addService(server: Server, name: string, description = ''): void {
  const all = parseYaml(server.readOr(servicesFile, '{}'));
  all[name] = { description };
  server.write(servicesFile, formatYaml(all));
  server.log('SUCCESS', `The service '${name}' was added`);
}

export function removeService(server: Server, name: string): void {
  const all = parseYaml(server.readOr(servicesFile, '{}'));
  if (!(name in all)) throw new YunohostError(`Unknown service '${name}'`);
  delete all[name];
  server.write(servicesFile, formatYaml(all));
  server.log('SUCCESS', `Service '${name}' removed`);
}

function knownServices(server: Server): string[] {
  return [...core, ...Object.keys(parseYaml(server.readOr(servicesFile, '{}')))].sort();
}

/** `service start|stop|restart|…`: a service that does not run cannot be reloaded (service.py, `service_reload`). */
export function driveService(server: Server, action: string, names: readonly string[]): void {
  for (const name of names) {
    if (!knownServices(server).includes(name)) throw new YunohostError(`Unknown service '${name}'`);
    if (action === 'reload' && stateOfService(server, name) !== 'running')
      throw new YunohostError(`Could not reload the service '${name}'`);
    if (action === 'stop') setServiceState(server, name, 'dead');
    if (action === 'start' || action === 'restart') setServiceState(server, name, 'running');
    server.log('SUCCESS', `Service '${name}': ${action} done`);
  }
}

/** `service status`: one service without a name around it when exactly one was asked for. */
export function serviceStatus(server: Server, names: readonly string[]): Record<string, Value> {
  const wanted = names.length > 0 ? names : knownServices(server);
  const rows = wanted.map((name): [string, Record<string, Value>] => {
    if (!knownServices(server).includes(name)) throw new YunohostError(`Unknown service '${name}'`);
    return [name, { status: stateOfService(server, name), start_on_boot: 'enabled', configuration: 'valid' }];
  });
  const only = rows[0];
  return rows.length === 1 && only !== undefined ? only[1] : Object.fromEntries(rows);
}

/** The firewall of a fresh server: SSH on its port, mail and web. */
export function firstFirewall(sshPort: number): string {
  const ports = [sshPort, 25, 80, 443, 587, 993];
  const tcp = Object.fromEntries(ports.map((port) => [String(port), { comment: 'core', open: true, upnp: true }]));
  return formatYaml({
    router_forwarding_upnp: false,
    tcp,
    udp: { '5353': { comment: 'mdns', open: true, upnp: false } },
  });
}

function readFirewall(server: Server): YamlMap {
  return parseYaml(server.readOr(firewallFile, '{}'));
}

/** `firewall list`: the open ports of a protocol, and ranges as text. */
export function openPorts(server: Server, protocol: string): (number | string)[] {
  const rules = mapAt(readFirewall(server), protocol);
  return Object.keys(rules)
    .filter((port) => mapAt(rules, port)['open'] === true)
    .map((port) => (port.includes('-') ? port : Number(port)));
}

export function rawFirewall(server: Server): YamlMap {
  return readFirewall(server);
}

/** `YunoFirewall.apply`: crashes when the rules do not know the port in sshd's configuration (firewall.py:184). */
export function applyFirewall(server: Server): void {
  const port = /^Port[ \t]+([0-9]+)$/m.exec(server.readOr('/etc/ssh/sshd_config', ''))?.[1] ?? '22';
  const all = readFirewall(server);
  const rules = mapAt(all, 'tcp');
  if (rules[port] === undefined) throw new PythonCrash('KeyError', port);
  if (mapAt(rules, port)['open'] !== true) {
    rules[port] = { comment: 'SSH port', open: true, upnp: false };
    server.write(firewallFile, formatYaml({ ...all, tcp: rules }));
  }
  regenConf(server, ['nftables'], { force: true });
  server.log('SUCCESS', 'Firewall reloaded');
}

const portPattern =
  /^((^|(?!^):)([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])){1,2}?$/;

/** `firewall open` and `firewall close`. A range is taken with a colon, and kept with a dash. */
export function setPort(
  server: Server,
  protocol: string,
  given: string,
  open: boolean,
  { comment = '', reload = true } = {},
): void {
  checkPattern(
    'port',
    given,
    portPattern,
    'Must be a valid port number (i.e. 0-65535) or range of ports (e.g. 100:200)',
  );
  const port = given.replace(':', '-');
  const all = readFirewall(server);
  const rules = mapAt(all, protocol);
  const before = mapAt(rules, port);
  if (!open && rules[port] === undefined) server.log('WARNING', `Port ${port} is already closed`);
  else {
    if ((before['open'] === true) === open)
      server.log('WARNING', `Port ${port} is already ${open ? 'opened' : 'closed'}`);
    rules[port] = { comment: comment || (before['comment'] ?? 'Manually set without comment'), open, upnp: false };
    all[protocol] = rules;
    // Written before it is applied: what crashes afterwards is kept all the same.
    server.write(firewallFile, formatYaml(all));
  }
  if (reload) applyFirewall(server);
}
