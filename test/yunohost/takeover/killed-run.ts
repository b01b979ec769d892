// A process of its own that does one operation, and kills itself at a moment of a step: `STEP MOMENT`, or runs to its end.
import { readFileSync } from 'node:fs';
import { parseRepositoryId } from '../../../src/format/ids.ts';
import type { StepListener } from '../../../src/yunohost/takeover/journal.ts';
import { Server } from '../double/server.ts';
import { close, deploy, hostOf, recover, update, type World } from './takeover-fixture.ts';

const [operation = '', root = '', state = '', worldFile = '', step = '', moment = ''] = process.argv.slice(2);
const raw = JSON.parse(readFileSync(worldFile, 'utf8')) as Record<string, string>;
const world: World = {
  folder: raw['folder'] ?? '',
  store: raw['store'] ?? '',
  repositoryId: parseRepositoryId(raw['repositoryId'] ?? ''),
  secret: new Uint8Array(Buffer.from(raw['secret'] ?? '', 'hex')),
  pushToken: new Uint8Array(Buffer.from(raw['pushToken'] ?? '', 'hex')),
};
const onStep: StepListener = (name, when) => {
  console.log(`${name} ${when}`);
  if (name === step && when === moment) process.kill(process.pid, 'SIGKILL');
};
const host = hostOf(root, state);
if (operation === 'deploy') await deploy(world, host, onStep);
if (operation === 'close') await close(world, host, { onStep });
if (operation === 'update') await update(world, new Server({ root }), { all: true }, { onStep });
if (operation === 'recover') await recover(world, host, 'demosql', { onStep });
console.log('DONE');
