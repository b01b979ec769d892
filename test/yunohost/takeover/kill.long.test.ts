// The whole sweep: every step of deploy, close and update killed at both its moments, and inside its calls.
import { describe, it } from 'node:test';
import { insideCalls, killAndResume, listPoints, makeScene, type Operation } from './kill-sweep.ts';

for (const operation of ['deploy', 'close', 'update'] as const satisfies readonly Operation[]) {
  describe(`${operation}, killed`, () => {
    it('at every step, and resumed', { timeout: 3_600_000 }, async () => {
      const scene = await makeScene(operation);
      for (const point of await listPoints(scene)) await killAndResume(scene, point);
    });
    it('inside its calls, and resumed', { timeout: 3_600_000 }, async () => {
      const scene = await makeScene(operation);
      for (const fault of insideCalls[operation]) await killAndResume(scene, { fault });
    });
  });
}
