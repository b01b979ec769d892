// A sample of the sweep: the points where most could be lost.
import { describe, it } from 'node:test';
import { killAndResume, makeScene } from './kill-sweep.ts';

describe('killed and resumed', { concurrency: 3 }, () => {
  it('deploy: while the directory is empty', async () => {
    const scene = await makeScene('deploy');
    await killAndResume(scene, {
      fault: { match: '^backup restore fallback-take-system', kind: 'kill', at: 'ldap-emptied', nth: 1 },
    });
  });
  it('close: before the own state is back', async () => {
    const scene = await makeScene('close');
    await killAndResume(scene, { step: 'close:sweep', moment: 'ended' });
  });
  it('update: between the safety backup and the new version', async () => {
    const scene = await makeScene('update');
    await killAndResume(scene, { step: 'replace:demosql', moment: 'begun' });
  });
});
