// DNS after a takeover: records shown, pushed, told to DynDNS, or handed to a script with a dry run first; and looked at.
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { type DnsTools, readZone, switchDns } from '../../../src/yunohost/takeover/dns.ts';
import { publishedZone } from '../double/dns.ts';
import { smallServer } from '../double/testing.ts';
import { hostOf } from './takeover-fixture.ts';

const nowhere: DnsTools = { resolve: async () => [] };

async function server(toml: string) {
  const double = await smallServer({ apps: [] });
  double.write('/.double/test-tld-is-ordinary', '');
  double.write('/.double/public-ip', '{"ipv4":"203.0.113.20","ipv6":"2001:db8::20"}');
  return { double, host: hostOf(double.root, join(double.root, 'state'), toml) };
}

describe('DNS', () => {
  it('reads the records that must change, with the addresses of the configuration first', () => {
    const zone = '; Basic\n@ 3600 IN A 192.0.2.1\n* 600 IN AAAA 2001:db8::1\n@ 3600 IN MX 10 main.test.\n';
    assert.deepEqual(readZone('main.test', zone, { ipv4: '198.51.100.7', ipv6: '' }), [
      { name: 'main.test', type: 'A', content: '198.51.100.7', ttlSeconds: 3600 },
      { name: '*.main.test', type: 'AAAA', content: '2001:db8::1', ttlSeconds: 600 },
    ]);
  });

  it('shows by default, and says when nothing must change', async () => {
    const { double, host } = await server('');
    const [shown] = await switchDns(host, nowhere, 'main.test', []);
    assert.equal(shown?.action, 'shown');
    assert.deepEqual(
      shown?.records.filter(({ name }) => name === 'main.test').map(({ type, content }) => `${type} ${content}`),
      ['A 203.0.113.20', 'AAAA 2001:db8::20'],
    );
    assert.deepEqual(publishedZone(double, 'main.test'), []);
    const tools: DnsTools = { resolve: async (_, type) => [type === 'A' ? '203.0.113.20' : '2001:db8::20'] };
    assert.equal((await switchDns(host, tools, 'main.test', []))[0]?.action, 'same');
    assert.deepEqual(await switchDns(host, nowhere, 'fb.test', ['main.test']), []);
  });

  it('pushes to the registrar, or tells DynDNS', async () => {
    const { double, host } = await server('[dns]\nmethod = "yunohost"\n');
    assert.equal((await switchDns(host, nowhere, 'main.test', []))[0]?.action, 'pushed');
    assert.ok(publishedZone(double, 'main.test').some(({ content }) => content === '203.0.113.20'));
    double.write('/etc/yunohost/dyndns/Kmain.test.+165+1.key', 'key');
    assert.equal((await switchDns(host, nowhere, 'main.test', []))[0]?.action, 'dyndns');
  });

  it('runs a script with a dry run first; one that fails is told and stops nothing', async () => {
    const { double, host } = await server('');
    const script = join(double.root, 'dns.sh');
    mkdirSync(double.root, { recursive: true });
    writeFileSync(script, `#!/bin/sh\necho "$@" >> ${double.root}/said\n[ "$3" != "" ]\n`);
    chmodSync(script, 0o755);
    const { configuration } = host;
    const dns = { ...configuration.dns, method: 'script', script } as const;
    const scripted = { ...host, configuration: { ...configuration, dns } };
    assert.equal((await switchDns(scripted, nowhere, 'main.test', []))[0]?.action, 'script');
    const said = readFileSync(join(double.root, 'said'), 'utf8').trim().split('\n');
    assert.deepEqual(said, ['dry-run main.test 203.0.113.20 2001:db8::20', 'set main.test 203.0.113.20 2001:db8::20']);
    writeFileSync(script, '#!/bin/sh\nexit 1\n');
    assert.equal((await switchDns(scripted, nowhere, 'main.test', []))[0]?.action, 'failed');
    assert.ok(existsSync(script));
  });
});
