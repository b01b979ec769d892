// Archives that are byte for byte what the newest snapshot holds: recognised, never mistaken, and pushed anew whenever anything of it is in doubt.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../../src/crypto/key-hierarchy.ts';
import { SpanTagger } from '../../../src/crypto/span-tag.ts';
import { isFallbackError } from '../../../src/errors/fallback-error.ts';
import { parseRepositoryId } from '../../../src/format/ids.ts';
import type { RepositoryWriter } from '../../../src/store/repository-store.ts';
import { openFileSource } from '../../../src/sync/push/byte-source.ts';
import { compareFile } from '../../../src/sync/push/compare-file.ts';
import type { PushOptions } from '../../../src/sync/push/push.ts';
import { SpanFile, SpanFileWriter } from '../../../src/sync/push/spans/span-file.ts';
import type { RepositorySession } from '../../../src/sync/repository-session.ts';
import { type CryptoTask, CryptoTasks, workerKeys } from '../../../src/sync/workers/crypto-tasks.ts';
import type { CryptoRunner } from '../../../src/sync/workers/worker-pool.ts';
import { type ClientFixture, makeMemoryRepository, pushBytes, withSession } from '../../support/client-fixture.ts';
import { hashedBytes } from '../../support/hashed-bytes.ts';
import { restoreBytes } from '../../support/restore-bytes.ts';
import { photo, sqlText, tarOf } from '../../support/sample-archives.ts';
import { inTemporaryFolder } from '../../support/temporary-folder.ts';

const app = tarOf({ 'a.sql': sqlText(60_000), 'p.jpg': photo(2_000_000), 'z.txt': sqlText(20_000, 7) });
const system = tarOf({ 'b.sql': sqlText(20_000, 5) });

interface Pushed {
  readonly newBytes: number;
  readonly readBytes: number;
  /** Contents of chunks whose ids were computed. */
  readonly hashedBytes: number;
  readonly recipes: unknown;
  /** How many tasks of each kind the workers had. */
  readonly tasks: Readonly<Partial<Record<CryptoTask['kind'], number>>>;
}

/** A main server with files, and a repository to push them to. */
class Main {
  readonly folder: string;
  readonly client: ClientFixture = makeMemoryRepository();
  /** Called before each task of a worker. */
  onTask: (task: CryptoTask) => void = () => undefined;
  /** The single byte that is drawn for each archive. */
  lot = 1;

  constructor(folder: string) {
    this.folder = folder;
    this.write({ app, system });
  }

  write(files: Readonly<Record<string, Uint8Array>>): void {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(this.folder, `${name}.tar`), bytes);
  }

  async withSession<Result>(work: (session: RepositorySession<RepositoryWriter>) => Promise<Result>): Promise<Result> {
    return await withSession(this.client.repository, this.client.secret, work);
  }

  async push(overrides: Partial<PushOptions> = {}): Promise<Pushed> {
    const tasks: Partial<Record<CryptoTask['kind'], number>> = {};
    let hashed = 0;
    return await this.withSession(async (session) => {
      const crypto: CryptoRunner = {
        run: async (task, affinity) => {
          tasks[task.kind] = (tasks[task.kind] ?? 0) + 1;
          if (task.kind === 'ids') hashed += hashedBytes(task);
          this.onTask(task);
          return await session.crypto.run(task, affinity);
        },
        close: () => session.crypto.close(),
      };
      const randomBytes = (count: number) =>
        count === 1 ? Uint8Array.of(this.lot) : session.environment.randomBytes(count);
      const environment = { ...session.environment, randomBytes };
      const archives = ['app', 'system'].map((name) => ({
        name,
        open: async () => await openFileSource(join(this.folder, `${name}.tar`)),
      }));
      const { counters, ...pushed } = await pushBytes(
        { ...session, crypto, environment },
        this.folder,
        {},
        {
          archives,
          ...overrides,
        },
      );
      const recipes = pushed.archives.map(({ recipe, catalogue }) => ({ recipe, catalogue }));
      const newBytes = counters.newBytes - counters.resentBytes;
      return { newBytes, readBytes: counters.readBytes, hashedBytes: hashed, recipes, tasks };
    });
  }

  /** Every file comes back as it is now. */
  async assertRestores(): Promise<void> {
    await this.withSession(async (session) => {
      for (const name of ['app', 'system']) {
        const file = readFileSync(join(this.folder, `${name}.tar`));
        assert.ok((await restoreBytes(session, name)).equals(file), name);
      }
    });
  }
}

const isRecognised = ({ tasks }: Pushed): boolean => tasks.digest === undefined && tasks.ids === undefined;

async function inMain(work: (main: Main) => Promise<void>): Promise<void> {
  await inTemporaryFolder(async (folder) => await work(new Main(folder)));
}

test('an unchanged archive is neither cut nor hashed again, and stands in the new snapshot as in the last one', async () => {
  await inMain(async (main) => {
    const first = await main.push();
    assert.ok(!isRecognised(first));
    for (let night = 0; night < 3; night++) {
      const now = new Date(Date.now() + night * 1000);
      utimesSync(join(main.folder, 'app.tar'), now, now);
      const next = await main.push();
      assert.ok(isRecognised(next), JSON.stringify(next.tasks));
      assert.deepEqual(next.recipes, first.recipes);
      assert.deepEqual([next.newBytes, next.readBytes], [0, app.byteLength + system.byteLength]);
      await main.assertRestores();
    }
    await main.withSession((session) => session.repository.snapshots().then((all) => assert.equal(all.length, 4)));
  });
});

test('a bit that changed anywhere, a longer and a shorter file: never taken for what they were', async () => {
  await inMain(async (main) => {
    await main.push();
    const places = [0, app.byteLength - 1, ...Array.from({ length: 6 }, () => randomInt(app.byteLength))];
    for (const place of places) {
      const changed = Buffer.from(app);
      changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
      main.write({ app: changed });
      const pushed = await main.push();
      assert.ok(!isRecognised(pushed), `byte ${place}`);
      assert.equal(pushed.readBytes, app.byteLength + system.byteLength);
      await main.assertRestores();
    }
    for (const other of [
      Buffer.concat([app, Buffer.alloc(1)]),
      app.subarray(0, -1),
      app.subarray(0, 1),
      app.subarray(0, 0),
    ]) {
      main.write({ app: other });
      assert.ok(!isRecognised(await main.push()), `${other.byteLength} bytes`);
      await main.assertRestores();
    }
  });
});

test('what the store lost of it is sent again', async () => {
  await inMain(async (main) => {
    await main.push();
    const { packs } = main.client.repository;
    const lost = [...packs.keys()][1] ?? 0;
    packs.delete(lost);
    const pushed = await main.push();
    assert.ok(pushed.newBytes > 0);
    await main.assertRestores();
    assert.ok(isRecognised(await main.push()));
    await main.assertRestores();
  });
});

test('a push that was never published is not what the newest snapshot holds', async () => {
  await inMain(async (main) => {
    await main.push();
    const changed = tarOf({ 'a.sql': sqlText(61_000), 'p.jpg': photo(2_000_000) });
    main.write({ app: changed });
    const stop = new AbortController();
    const refused = main.push({
      signal: stop.signal,
      finish: () => {
        stop.abort(new Error('before the commit'));
        return { complete: true };
      },
    });
    await assert.rejects(refused, /before the commit/);
    main.write({ app });
    await main.push();
    await main.assertRestores();
    main.write({ app: changed });
    assert.ok(!isRecognised(await main.push()));
    await main.assertRestores();
    // Else some of it may lie in packs that are half dead now, and must go by.
    assert.ok(isRecognised(await main.push({ keepHalfDead: true })));
    await main.assertRestores();
  });
});

test('a snapshot in between, of another machine, costs what was known', async () => {
  await inMain(async (main) => {
    await main.push();
    await inTemporaryFolder(async (elsewhere) => {
      await main.withSession((session) => pushBytes(session, elsewhere, { app: system, system: app }));
    });
    assert.ok(!isRecognised(await main.push()));
    await main.assertRestores();
    assert.ok(isRecognised(await main.push()));
  });
});

test('a file that changes while it is compared stops the push, as one that changes while it is read', async () => {
  await inMain(async (main) => {
    await main.push();
    main.onTask = ({ kind }) => {
      if (kind === 'compare') utimesSync(join(main.folder, 'app.tar'), new Date(), new Date(Date.now() + 5000));
    };
    await assert.rejects(main.push(), (error) => isFallbackError(error, 'ARCHIVE_CHANGED'));
    main.onTask = () => undefined;
    assert.ok(isRecognised(await main.push()));
    await main.assertRestores();
  });
});

test('a push that is stopped while it compares says so', async () => {
  await inMain(async (main) => {
    await main.push();
    const stop = new AbortController();
    main.onTask = ({ kind }) => {
      if (kind === 'compare') stop.abort(new Error('stopped'));
    };
    await assert.rejects(main.push({ signal: stop.signal }), /stopped/);
  });
});

test('a record that is damaged, cut short or another repository’s is worth nothing', async () => {
  await inMain(async (main) => {
    await main.push();
    const path = join(main.folder, 'index.archives');
    const good = readFileSync(path);
    const flipped = (place: number): Buffer => {
      const bytes = Buffer.from(good);
      bytes.writeUInt8(bytes.readUInt8(place) ^ 1, place);
      return bytes;
    };
    const other = await inTemporaryFolder(async (folder) => {
      const another = new Main(folder);
      await another.push();
      return readFileSync(join(folder, 'index.archives'));
    });
    const spoiled = [
      ...[0, 10, 30, 100, good.byteLength - 1].map(flipped),
      good.subarray(0, 50),
      Buffer.alloc(0),
      other,
    ];
    for (const bytes of spoiled) {
      writeFileSync(path, bytes);
      assert.ok(!isRecognised(await main.push()));
      await main.assertRestores();
    }
  });
});

test('drawn by lot, all of an archive is cut and hashed as if nothing were known of it', async () => {
  await inMain(async (main) => {
    const first = await main.push();
    for (const [lot, known] of [
      [0, false],
      [31, true],
      [32, false],
      [255, true],
    ] as const) {
      main.lot = lot;
      const pushed = await main.push();
      assert.equal(isRecognised(pushed), known, `lot ${lot}`);
      assert.equal(pushed.hashedBytes, known ? 0 : app.byteLength + system.byteLength);
      assert.deepEqual(pushed.recipes, first.recipes);
    }
  });
});

test('a change that the samples miss is found, and what was counted is taken back', async () => {
  await inTemporaryFolder(async (folder) => {
    const path = join(folder, 'file');
    const keys = deriveRepositoryKeys(
      new Uint8Array(32).fill(7),
      parseRepositoryId('00112233445566778899aabbccddeeff'),
    );
    const bytes = photo(600_000);
    const spanBytes = 10_000;
    const writer = new SpanFileWriter(join(folder, 'spans'), keys, (count) => new Uint8Array(count).fill(1));
    const tagger = new SpanTagger(keys.spanTag);
    for (let at = 0; at < bytes.byteLength; at += spanBytes) {
      tagger.update(bytes.subarray(at, at + spanBytes));
      const [lengths, kinds] = [Uint32Array.of(spanBytes), Uint8Array.of(0)];
      writer.add({ tag: tagger.end(), lengths, kinds, ids: new Uint8Array(32) });
    }
    await writer.publish();
    const spans = await SpanFile.open(join(folder, 'spans'), keys);
    assert.ok(spans);
    const tasks = new CryptoTasks(workerKeys(keys));
    const crypto: CryptoRunner = { run: async (task) => tasks.run(task), close: async () => undefined };
    for (const [place, expected] of [
      [undefined, 'same'],
      [0, 'other'],
      [599_999, 'other'],
      [300_000, 'edited'],
      [589_000, 'edited'],
    ] as const) {
      const changed = Buffer.from(bytes);
      if (place !== undefined) changed.writeUInt8(changed.readUInt8(place) ^ 1, place);
      writeFileSync(path, changed);
      const source = await openFileSource(path);
      assert.ok(source.file);
      let counted = 0;
      const how = { crypto, signal: undefined, randomBytes: () => new Uint8Array(0), samples: 0, taskBytes: 45_000 };
      const onBytes = (count: number): void => {
        counted += count;
      };
      assert.equal(await compareFile(source.file, spans, { ...how, onBytes }), expected, String(place));
      assert.equal(counted, expected === 'same' ? bytes.byteLength : 0);
      await source.close();
    }
    await spans.close();
  });
});
