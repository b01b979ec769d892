// Trust checks T1-T4 of THREAT-MODEL.md, against stores that lie.
import assert from 'node:assert/strict';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { deriveRepositoryKeys } from '../../src/crypto/key-hierarchy.ts';
import type { ErrorCode } from '../../src/errors/error-codes.ts';
import { FallbackError, isFallbackError } from '../../src/errors/fallback-error.ts';
import { parseEpoch, parseOrigin, parseSnapshotNumber } from '../../src/format/ids.ts';
import { findSnapshot } from '../../src/sync/snapshots.ts';
import { checkTrust, decodeSeenHead, encodeSeenHead, type SeenHead } from '../../src/sync/trust.ts';
import { type ClientFixture, makeMemoryRepository, pushBytes, withSession } from '../support/client-fixture.ts';
import { sqlText } from '../support/sample-archives.ts';
import { inTemporaryFolder } from '../support/temporary-folder.ts';

async function withNights(
  nights: number,
  work: (fixture: ClientFixture, heads: SeenHead[]) => Promise<void>,
): Promise<void> {
  await inTemporaryFolder(async (folder) => {
    const fixture = makeMemoryRepository();
    const heads: SeenHead[] = [];
    for (let night = 1; night <= nights; night++) {
      const { snapshot } = await withSession(fixture.repository, fixture.secret, (session) =>
        pushBytes(session, folder, { a: sqlText(100 * night) }),
      );
      const { repositoryId } = fixture.repository;
      heads.push({ repositoryId, number: snapshot.number, sha256: snapshot.sha256, epoch: parseEpoch(1) });
    }
    await work(fixture, heads);
  });
}

async function check({ repository, secret }: ClientFixture, seen: SeenHead | undefined): Promise<void> {
  await checkTrust(repository, deriveRepositoryKeys(secret, repository.repositoryId), await repository.status(), seen);
}

const refuses = (work: Promise<unknown>, code: ErrorCode) =>
  assert.rejects(work, (error) => isFallbackError(error, code));

test('what was seen, and what came after it, is accepted', async () => {
  await withNights(4, async (fixture, heads) => {
    await check(fixture, undefined);
    for (const seen of heads) await check(fixture, seen);
  });
});

test('T1: another repository is refused', async () => {
  await withNights(1, async (fixture, heads) => {
    const other = makeMemoryRepository();
    await refuses(
      check(fixture, { ...(heads[0] as SeenHead), repositoryId: other.repository.repositoryId }),
      'TRUST_REPOSITORY',
    );
    const keys = deriveRepositoryKeys(fixture.secret, fixture.repository.repositoryId);
    await refuses(checkTrust(other.repository, keys, await other.repository.status(), undefined), 'TRUST_REPOSITORY');
  });
});

test('T2: an older head is refused, and so is an empty store', async () => {
  await withNights(3, async (fixture, heads) => {
    fixture.repository.files.pop();
    await refuses(check(fixture, heads[2]), 'TRUST_ROLLBACK');
    fixture.repository.files.length = 0;
    await refuses(check(fixture, heads[0]), 'TRUST_ROLLBACK');
  });
});

test('T3: the same number with other contents is a fork', async () => {
  await withNights(2, async (fixture, heads) => {
    await refuses(check(fixture, { ...(heads[1] as SeenHead), sha256: new Uint8Array(32) }), 'TRUST_FORK');
  });
});

test('T4: a newer head that does not chain to what was seen is a fork', async () => {
  await withNights(3, async (fixture, heads) => {
    await refuses(check(fixture, { ...(heads[0] as SeenHead), sha256: new Uint8Array(32).fill(7) }), 'TRUST_FORK');
  });
});

test('T4: a newer head that the key did not seal is refused', async () => {
  await withNights(2, async (fixture, heads) => {
    const file = fixture.repository.files[1] as Uint8Array;
    file[file.length - 1] = (file[file.length - 1] ?? 0) ^ 1;
    await refuses(check(fixture, heads[0]), 'SEAL_BROKEN');
    await refuses(check(fixture, undefined), 'SEAL_BROKEN');
  });
});

test('T4: links that retention deleted do not matter', async () => {
  await withNights(4, async (fixture, heads) => {
    fixture.repository.files.splice(1, 2);
    await check(fixture, heads[0]);
  });
});

test('the record of what was seen survives its encoding, and refuses anything else', async () => {
  await withNights(1, async (_, heads) => {
    const seen = heads[0] as SeenHead;
    const text = encodeSeenHead(seen);
    assert.deepEqual({ ...decodeSeenHead(text), sha256: [...seen.sha256] }, { ...seen, sha256: [...seen.sha256] });
    for (const bad of ['', '{}', 'null', '[]', text.slice(0, -5), text.replace('"format":1', '"format":2')]) {
      assert.throws(
        () => decodeSeenHead(bad),
        (error) => isFallbackError(error, 'FORMAT_INVALID'),
      );
    }
  });
});

test('T6: a pack number that this client knows of is not taken again', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const night = (lines: number) =>
      withSession(repository, secret, (session) => pushBytes(session, folder, { a: sqlText(lines) }));
    await night(3000);
    const { lastPack } = repository;
    repository.lastPack = 0;
    await refuses(
      night(4000).then(() => undefined),
      'TRUST_ROLLBACK',
    );
    // Known from the newest snapshot alone, too.
    await rm(join(folder, 'index'));
    await refuses(
      night(4000).then(() => undefined),
      'TRUST_ROLLBACK',
    );
    repository.lastPack = lastPack;
    await night(4000);
  });
});

/** Pushes once more in a session of its own, with an index of its own. */
async function pushAgain({ repository, secret }: ClientFixture): Promise<number> {
  return await inTemporaryFolder((folder) =>
    withSession(repository, secret, async (session) => {
      const { snapshot } = await pushBytes(session, folder, { a: sqlText(700) });
      return snapshot.number;
    }),
  );
}

test('a head whose file is lost proves nothing, and stops neither what is older nor the next push', async () => {
  for (const code of ['DAMAGED', 'NOT_FOUND'] as const) {
    await withNights(3, async (fixture, heads) => {
      const { repository, secret } = fixture;
      const { snapshot } = repository;
      repository.snapshot = async (number) => {
        if (number === 3) throw new FallbackError(code, 'its file is lost');
        return await snapshot.call(repository, number);
      };
      const keys = deriveRepositoryKeys(secret, repository.repositoryId);
      const status = await repository.status();
      assert.equal(await checkTrust(repository, keys, status, undefined), false);
      assert.equal(await checkTrust(repository, keys, status, heads[0]), false);
      assert.equal(await checkTrust(repository, keys, status, heads[2]), true);
      await withSession(repository, secret, async (session) => {
        assert.equal(session.isHeadProved, false);
        assert.equal((await findSnapshot(session, '2')).head.number as number, 2);
        await assert.rejects(findSnapshot(session, 'latest'), (error) => isFallbackError(error, code));
      });
      assert.equal(await pushAgain(fixture), 4);
      // The new head chains to the lost one by its hash, and is proved itself.
      await withSession(repository, secret, async (session) => assert.ok(session.isHeadProved));
    });
  }
});

test('what a lease says is checked like a status: nothing is pushed upon an older head', async () => {
  await withNights(3, async (fixture) => {
    const { repository } = fixture;
    const { acquireLease } = repository;
    repository.acquireLease = async (request) => {
      const lease = await acquireLease.call(repository, request);
      const [first] = await repository.snapshots();
      assert.ok(first !== undefined);
      return { ...lease, status: { ...lease.status, head: first } };
    };
    await assert.rejects(pushAgain(fixture), (error) => isFallbackError(error, 'TRUST_ROLLBACK'));
    assert.equal(repository.files.length, 3);
    assert.equal(repository.lease, undefined);
  });
});

test('a snapshot that is acknowledged under another number is not remembered', async () => {
  await withNights(1, async (fixture) => {
    const { repository } = fixture;
    const { commitSnapshot } = repository;
    repository.commitSnapshot = async (leaseId, file) => ({
      ...(await commitSnapshot.call(repository, leaseId, file)),
      number: parseSnapshotNumber(1),
    });
    await assert.rejects(pushAgain(fixture), (error) => isFallbackError(error, 'TRUST_FORK'));
  });
});

test('a list that ends before the head, or tells of a snapshot what its seal does not, is not believed', async () => {
  await withNights(3, async ({ repository, secret }) => {
    const { snapshots } = repository;
    repository.snapshots = async () => (await snapshots.call(repository)).slice(0, 2);
    await withSession(repository, secret, async (session) => {
      for (const name of ['latest', '2999-01-01'])
        await assert.rejects(findSnapshot(session, name), (error) => isFallbackError(error, 'TRUST_ROLLBACK'));
      assert.equal((await findSnapshot(session, '2')).head.number as number, 2);
    });
    for (const lie of [{ complete: false }, { origin: parseOrigin('fallback-produced') }, { epoch: parseEpoch(2) }]) {
      repository.snapshots = async () => (await snapshots.call(repository)).map((one) => ({ ...one, ...lie }));
      await withSession(repository, secret, async (session) => {
        await assert.rejects(findSnapshot(session, 'latest'), (error) => isFallbackError(error, 'SEAL_BROKEN'));
      });
    }
  });
});

test('a lost head hides no other history from a push: what this machine has seen must be listed', async () => {
  await withNights(3, async ({ repository, secret }, heads) => {
    const { snapshot } = repository;
    repository.snapshot = async (number) => {
      if (number === 3) throw new FallbackError('DAMAGED', 'its file is lost');
      return await snapshot.call(repository, number);
    };
    const pushSeeing = (seen: SeenHead) =>
      inTemporaryFolder((folder) =>
        withSession(repository, secret, (session) => pushBytes({ ...session, seen }, folder, { a: sqlText(900) })),
      );
    const [first] = heads as [SeenHead];
    await refuses(pushSeeing({ ...first, sha256: new Uint8Array(32) }), 'TRUST_FORK');
    const { snapshots } = repository;
    repository.snapshots = async () => (await snapshots.call(repository)).slice(1);
    await refuses(pushSeeing(first), 'TRUST_ROLLBACK');
    repository.snapshots = snapshots;
    assert.equal(repository.files.length, 3);
    assert.equal((await pushSeeing(first)).snapshot.number as number, 4);
  });
});

test('a lease of another epoch than the machine’s own is refused: no head of that epoch is sealed', async () => {
  await withNights(1, async (fixture) => {
    const { repository } = fixture;
    const { acquireLease } = repository;
    repository.acquireLease = async (request) => {
      const lease = await acquireLease.call(repository, request);
      return { ...lease, status: { ...lease.status, epoch: parseEpoch(9) } };
    };
    await refuses(pushAgain(fixture), 'PROTOCOL');
    assert.equal(repository.files.length, 1);
  });
});

test('a lease that is said to live for no time is renewed once a second at most, and one renewal at a time', async () => {
  await withNights(1, async (fixture) => {
    const { repository } = fixture;
    const { acquireLease } = repository;
    repository.acquireLease = async (request) => ({ ...(await acquireLease.call(repository, request)), lifetimeMs: 0 });
    let renewals = 0;
    repository.onPutPack = async () => {
      const { renewLease } = repository;
      repository.renewLease = async () => {
        renewals++;
      };
      await sleep(100);
      repository.renewLease = renewLease;
    };
    await pushAgain(fixture);
    assert.ok(renewals <= 1, `${renewals}`);
  });
});

test('no pack number is sealed twice by one machine, be the first upload acknowledged or not', async () => {
  await inTemporaryFolder(async (folder) => {
    const { repository, secret } = makeMemoryRepository();
    const tried: number[][] = [];
    for (const isFailing of [true, true, false]) {
      const numbers: number[] = [];
      tried.push(numbers);
      repository.onPutPack = (number) => {
        numbers.push(number);
        if (isFailing) throw new FallbackError('SERVER_FULL', 'as planned');
      };
      const pushing = withSession(repository, secret, (session) => pushBytes(session, folder, { a: sqlText(9000) }));
      if (isFailing) await refuses(pushing, 'SERVER_FULL');
      else await pushing;
    }
    const all = tried.flat();
    assert.equal(new Set(all).size, all.length, all.join(' '));
    // Nothing is left out for good.
    assert.ok(Math.max(...all) < 3 * 64);
    // What is marked is passed over when it lies out of all proportion, or is another repository's.
    const mark = join(folder, 'index.numbers');
    const bytes = await readFile(mark);
    for (const damaged of [Buffer.concat([bytes.subarray(0, 24), Buffer.of(0xff, 0xff, 0x7f)]), Buffer.of(1)]) {
      await writeFile(mark, damaged);
      const { lastPack } = repository;
      await withSession(repository, secret, (session) =>
        pushBytes(session, folder, { a: Buffer.concat([damaged, sqlText(9000, damaged.length)]) }),
      );
      assert.ok(repository.lastPack > lastPack && repository.lastPack < lastPack + 64);
    }
  });
});
