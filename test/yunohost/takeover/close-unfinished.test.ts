// A close of a deploy that was cut off while it brought an app: what stands under that name is nobody's to throw away.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareServers, readServerState } from '../double/seed-server.ts';
import { close, deploy, twoServers } from './takeover-fixture.ts';

/** The empty folder of a database engine that had no database before. */
const ignore = [/^\/var\/lib\/mysql$/];

/** Stops an operation as a kill does. */
const cutOff =
  (wanted: string) =>
  (step: string, moment: string): void => {
    if (`${step} ${moment}` === wanted) throw new Error('cut off');
  };

describe('a close of a deploy that was cut off in an app', { concurrency: 2 }, () => {
  it('leaves the own app of that name alone once it is back', async () => {
    const two = await twoServers();
    const before = readServerState(two.fallback.root);
    await assert.rejects(deploy(two.world, two.host, cutOff('app:demopg begun')), /cut off/);
    await assert.rejects(close(two.world, two.host, { onStep: cutOff('close:check begun') }), /cut off/);
    await close(two.world, two.host);
    assert.deepEqual(compareServers(before, readServerState(two.fallback.root), { ignore }), []);
  });
});
