// Every call of `yunohost` in deploy, close and update made to fail, to crash and to print junk once; then the same command again.
import { it } from 'node:test';
import { readCalls } from '../double/call-log.ts';
import { copyOf, killAndResume, makeScene, type Operation, run } from './kill-sweep.ts';

/** The words of each call, as a pattern; equal ones once. */
async function listCalls(scene: Awaited<ReturnType<typeof makeScene>>): Promise<string[]> {
  const copied = copyOf(scene.two);
  const server = scene.operation === 'update' ? copied.main : copied.fallback;
  const before = readCalls(server.root).length;
  await run(copied, scene.operation);
  const words = readCalls(server.root)
    .slice(before)
    .map(({ argv }) => argv.slice(0, argv.indexOf('--output-as')).join(' '));
  return [...new Set(words)].map((text) => `^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`);
}

for (const operation of ['deploy', 'close', 'update'] as const satisfies readonly Operation[]) {
  for (const kind of ['fail', 'traceback', 'junk'] as const) {
    it(`${operation}: each call once ${kind}`, { timeout: 3_600_000 }, async () => {
      const scene = await makeScene(operation);
      for (const match of await listCalls(scene)) await killAndResume(scene, { fault: { match, kind, nth: 1 } });
    });
  }
}
