// init and connect, step by step, over a store in memory: answers that are lost, crashes between the steps, wrong keys.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deriveRepositoryKeys } from '../../../src/crypto/key-hierarchy.ts';
import { openConfiguration } from '../../../src/crypto/sealed-configuration.ts';
import { FallbackError, isFallbackError } from '../../../src/errors/fallback-error.ts';
import { decodeKeyDocument, encodeKeyDocument } from '../../../src/format/key-document.ts';
import type { PairingCode } from '../../../src/format/pairing-code.ts';
import { nodeFileSystem } from '../../../src/fs/node-file-system.ts';
import { ClientState } from '../../../src/sync/client-state.ts';
import type { FetchedRecovery } from '../../../src/sync/http/fetch-recovery.ts';
import type { Pairing, PairingRequest } from '../../../src/sync/http/pair-with-server.ts';
import type { TrustedServer } from '../../../src/sync/http/server-trust.ts';
import { type ConnectCalls, connectWithPhrase } from '../../../src/sync/pair/connect-with-phrase.ts';
import {
  beginPairing,
  completePairing,
  findBegunPairing,
  finishPairing,
  hasPassphrase,
  type NewKeys,
  type PairingPlace,
} from '../../../src/sync/pair/init-repository.ts';
import { changeKeys, readKeyDocuments, sharedSlots, unlockRepository } from '../../../src/sync/pair/key-documents.ts';
import type { PairingRecord } from '../../../src/sync/pair/pairing-record.ts';
import { rememberHead } from '../../../src/sync/pair/remember-head.ts';
import { MemoryRepository } from '../../support/memory-repository.ts';

const argon2Cost = { memoryKiB: 64, passes: 1, lanes: 1 };
const keys: NewKeys = { passphrase: 'open sesame', isEncrypted: true, engine: 'fallback', argon2Cost };
const server: TrustedServer = { host: 'backup.test', port: 7443, trust: { kind: 'pinned', certificatePem: 'PEM\n' } };
const random = (count: number): Uint8Array => new Uint8Array(randomBytes(count));

function newCode(): PairingCode {
  return { host: 'backup.test', port: 7443, certificateSha256: random(32), oneTimeToken: random(16) };
}

async function inPlace(work: (place: PairingPlace) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'fallback-pair-'));
  try {
    const state = new ClientState(nodeFileSystem, join(folder, 'state'), () => randomBytes(8).toString('hex'));
    await work({ state, fs: nodeFileSystem, environment: { nowMs: () => Date.now(), randomBytes: random } });
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A server that makes the repository once, and takes the same request again. */
class FakeServer {
  repository: MemoryRepository | undefined;
  #request: string | undefined;
  /** Answers that are lost on the way. */
  lost = 0;

  async pair(_code: PairingCode, request: PairingRequest): Promise<Pairing> {
    const text = JSON.stringify(request, (_key, value) => (value instanceof Uint8Array ? [...value] : value));
    if (this.#request !== undefined && this.#request !== text) throw new FallbackError('PAIRING_INVALID', 'used');
    this.#request = text;
    this.repository ??= new MemoryRepository(request.repositoryId);
    this.repository.configurationFile = request.configuration;
    this.repository.keyDocuments[0] = request.keyDocument;
    if (this.lost-- > 0) throw new FallbackError('UNREACHABLE', 'lost');
    return { server, name: 'main.test' };
  }
}

const code = (errorCode: string) => (error: unknown) => isFallbackError(error) && error.code === errorCode;

async function pairWhole(place: PairingPlace, fake: FakeServer, newKeys = keys): Promise<PairingRecord> {
  const pairingCode = newCode();
  const record = await beginPairing(place, pairingCode, newKeys);
  await completePairing(place, pairingCode, record, (...call) => fake.pair(...call));
  await finishPairing(place);
  return record;
}

test('a pairing whose answer was lost goes on with the same keys, and leaves no phrase behind', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    fake.lost = 1;
    const pairingCode = newCode();
    const record = await beginPairing(place, pairingCode, keys);
    const pair = (...call: Parameters<FakeServer['pair']>): Promise<Pairing> => fake.pair(...call);
    await assert.rejects(completePairing(place, pairingCode, record, pair), code('UNREACHABLE'));
    assert.equal(await place.state.isPaired(), false);
    const again = await findBegunPairing(place, pairingCode);
    assert.deepEqual(again, record);
    assert.ok(again !== undefined && hasPassphrase(again, 'open sesame') && !hasPassphrase(again, 'other'));
    const credentials = await completePairing(place, pairingCode, again, pair);
    assert.deepEqual(credentials.secret, record.secret);
    // A crash before the sheet was handed over: the same code finds the phrase again, and asks the server nothing.
    assert.deepEqual(await findBegunPairing(place, pairingCode), record);
    const never = (): never => assert.fail('the server was asked again');
    assert.deepEqual((await completePairing(place, pairingCode, record, never)).pushToken, record.pushToken);
    await finishPairing(place);
    await finishPairing(place);
    await assert.rejects(findBegunPairing(place, pairingCode), code('ALREADY_EXISTS'));
    assert.deepEqual((await readdir(place.state.folder)).sort(), [
      'certificate.pem',
      'client.json',
      'push-token',
      'secret',
    ]);
  });
});

test('another code begins anew; a refused code leaves no record', async () => {
  await inPlace(async (place) => {
    const pairingCode = newCode();
    const record = await beginPairing(place, pairingCode, keys);
    assert.equal(await findBegunPairing(place, newCode()), undefined);
    const refuse = async (): Promise<Pairing> => {
      throw new FallbackError('PAIRING_INVALID', 'expired');
    };
    await assert.rejects(completePairing(place, pairingCode, record, refuse), code('PAIRING_INVALID'));
    assert.equal(await findBegunPairing(place, pairingCode), undefined);
    assert.deepEqual(await readdir(place.state.folder), []);
  });
});

test('what an earlier pairing left in the folder does not pass for the new one’s', async () => {
  await inPlace(async (place) => {
    const pairingCode = newCode();
    const record = await beginPairing(place, pairingCode, keys);
    for (const name of ['push-token', 'index', 'snapshots'])
      await writeFile(join(place.state.folder, name), 'old', { mode: 0o600 });
    await place.state.saveSeenHead({
      repositoryId: 'ab'.repeat(16) as never,
      number: 9 as never,
      sha256: random(32),
      epoch: 4 as never,
    });
    await completePairing(place, pairingCode, record, (...call) => new FakeServer().pair(...call));
    assert.equal(await place.state.seenHead(), undefined);
    assert.deepEqual((await place.state.load()).pushToken, record.pushToken);
    const left = await readdir(place.state.folder);
    assert.ok(!left.includes('index') && !left.includes('snapshots'));
  });
});

test('the key document: phrase and passphrase by default; in the clear only when asked for', async () => {
  await inPlace(async (place) => {
    const types = async (newKeys: NewKeys): Promise<string[]> =>
      decodeKeyDocument((await beginPairing(place, newCode(), newKeys)).keyDocument).slots.map(({ type }) => type);
    assert.deepEqual(await types(keys), ['passphrase', 'phrase']);
    assert.deepEqual(await types({ ...keys, passphrase: undefined }), ['phrase']);
    assert.deepEqual(await types({ ...keys, passphrase: undefined, isEncrypted: false }), ['clear', 'phrase']);
    const record = await beginPairing(place, newCode(), { ...keys, engine: 'fastcdc-wasm' });
    const configuration = openConfiguration(
      deriveRepositoryKeys(record.secret, record.repositoryId),
      record.configuration,
    );
    assert.equal(configuration.engine, 'fastcdc-wasm');
    assert.equal(configuration.packTargetBytesMin, 3 * 1024 * 1024);
    assert.equal(configuration.packTargetBytesMax, 5 * 1024 * 1024);
  });
});

test('changing keys: the new one opens, the old one only its own document, and the other way in stays', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    const { secret, phraseEntropy } = await pairWhole(place, fake);
    const { repository } = fake;
    assert.ok(repository !== undefined);
    const withPassphrase = (passphrase: string, wanted?: number): Promise<Uint8Array> =>
      unlockRepository(repository, { type: 'passphrase', passphrase }, wanted);
    await changeKeys(repository, secret, { passphrase: 'new one', argon2Cost }, random);
    assert.deepEqual(await withPassphrase('new one'), secret);
    await assert.rejects(
      withPassphrase('open sesame'),
      (error) => isFallbackError(error, 'KEY_WRONG') && error.hint.includes('--key-document 1'),
    );
    assert.deepEqual(await withPassphrase('open sesame', 1), secret);
    assert.deepEqual(await unlockRepository(repository, { type: 'phrase', entropy: phraseEntropy }), secret);
    const fresh = random(16);
    // A sheet that could not be written puts nothing in force.
    const unwritten = changeKeys(repository, secret, { phraseEntropy: fresh }, random, async () => {
      throw new FallbackError('DISK_FULL', 'as planned');
    });
    await assert.rejects(unwritten, code('DISK_FULL'));
    assert.deepEqual(await unlockRepository(repository, { type: 'phrase', entropy: phraseEntropy }), secret);
    const document = await changeKeys(repository, secret, { phraseEntropy: fresh }, random);
    assert.equal(document.number, 3);
    assert.deepEqual(await unlockRepository(repository, { type: 'phrase', entropy: fresh }), secret);
    await assert.rejects(unlockRepository(repository, { type: 'phrase', entropy: phraseEntropy }), code('KEY_WRONG'));
    assert.deepEqual(await withPassphrase('new one'), secret);
    await changeKeys(repository, secret, { passphrase: null }, random);
    await assert.rejects(withPassphrase('new one'), code('KEY_WRONG'));
    await assert.rejects(withPassphrase('x', 9), code('NOT_FOUND'));
  });
});

test('a forged slot for the phrase of the sheet is carried into no new document', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    const { secret } = await pairWhole(place, fake);
    const { repository } = fake;
    assert.ok(repository !== undefined);
    const { slots } = decodeKeyDocument(await repository.keyDocument(1));
    const forged = slots.map((slot) =>
      slot.type === 'phrase' ? { ...slot, wrapped: { ...slot.wrapped, nonce: random(24) } } : slot,
    );
    const { repositoryId } = repository;
    await repository.putKeyDocument(2, encodeKeyDocument({ repositoryId, number: 2, slots: forged }));
    const changing = changeKeys(repository, secret, { passphrase: 'new', argon2Cost }, random);
    await assert.rejects(changing, code('SEAL_BROKEN'));
    assert.equal((await repository.keyDocumentNumbers()).length, 2);
    // A new phrase takes over none.
    await changeKeys(repository, secret, { phraseEntropy: random(16) }, random);
    const documents = await readKeyDocuments(repository);
    assert.deepEqual(sharedSlots(documents, 1), [{ what: 'passphrase', numbers: [2, 3] }]);
    assert.deepEqual(sharedSlots(documents, 3), [{ what: 'passphrase', numbers: [1, 2] }]);
  });
});

test('a key document that somebody slipped in, with a secret of its own, is found out', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    await pairWhole(place, fake);
    const { repository } = fake;
    assert.ok(repository !== undefined);
    await changeKeys(repository, random(32), { passphrase: 'open sesame', argon2Cost }, random);
    await assert.rejects(
      unlockRepository(repository, { type: 'passphrase', passphrase: 'open sesame' }),
      (error) => isFallbackError(error, 'SEAL_BROKEN') && error.hint.includes('--key-document 1'),
    );
  });
});

function callsTo(repository: MemoryRepository, more: Partial<FetchedRecovery> = {}): ConnectCalls {
  return {
    fetchRecovery: async () => ({
      server,
      repositoryId: repository.repositoryId,
      configuration: repository.configurationFile,
      superseded: false,
      keyDocuments: repository.keyDocuments.map((file, index) => ({ number: index + 1, file })),
      ...more,
    }),
    openRepository: () => repository,
  };
}

test('connect: read access from phrase and address; a replaced phrase only with its document’s number', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    const { secret, phraseEntropy } = await pairWhole(place, fake);
    const { repository } = fake;
    assert.ok(repository !== undefined);
    const newState = new ClientState(nodeFileSystem, `${place.state.folder}-new`, () => randomBytes(8).toString('hex'));
    const request = {
      fs: nodeFileSystem,
      state: newState,
      address: newCode(),
      phraseEntropy,
      keyDocument: undefined,
      pushToken: undefined,
    };
    try {
      const replaced = callsTo(repository, { superseded: true });
      await assert.rejects(
        connectWithPhrase(request, replaced),
        (error) => isFallbackError(error, 'KEY_WRONG') && error.hint.includes('--key-document 1'),
      );
      const unknown: ConnectCalls = {
        ...callsTo(repository),
        fetchRecovery: async () => {
          throw new FallbackError('UNAUTHORIZED', 'no');
        },
      };
      await assert.rejects(connectWithPhrase(request, unknown), code('KEY_WRONG'));
      assert.equal(await newState.isPaired(), false);
      const { credentials } = await connectWithPhrase({ ...request, keyDocument: 1 }, replaced);
      assert.deepEqual(credentials.secret, secret);
      assert.equal((await newState.load()).pushToken, undefined);
      await assert.rejects(connectWithPhrase(request, callsTo(repository)), code('ALREADY_EXISTS'));
      const pushToken = random(32);
      await connectWithPhrase({ ...request, pushToken }, callsTo(repository));
      assert.deepEqual((await newState.load()).pushToken, pushToken);
    } finally {
      await rm(newState.folder, { recursive: true, force: true });
    }
  });
});

test('connect: a slot that was copied without its secret fails, names the older document, and that one opens', async () => {
  await inPlace(async (place) => {
    const fake = new FakeServer();
    const { secret, phraseEntropy } = await pairWhole(place, fake);
    const { repository } = fake;
    assert.ok(repository !== undefined);
    const [first] = repository.keyDocuments;
    const phrase = decodeKeyDocument(first ?? random(0)).slots.find((slot) => slot.type === 'phrase');
    assert.ok(phrase !== undefined);
    const wrapped = { commitment: random(32), nonce: random(24), sealed: random(48) };
    const { repositoryId } = repository;
    repository.keyDocuments.push(encodeKeyDocument({ repositoryId, number: 2, slots: [{ ...phrase, wrapped }] }));
    const folder = `${place.state.folder}-new`;
    const request = {
      fs: nodeFileSystem,
      state: new ClientState(nodeFileSystem, folder, () => randomBytes(8).toString('hex')),
      address: newCode(),
      phraseEntropy,
      keyDocument: undefined,
      pushToken: undefined,
    };
    try {
      await assert.rejects(
        connectWithPhrase(request, callsTo(repository)),
        (error) => isFallbackError(error, 'KEY_WRONG') && error.hint.includes('--key-document 1'),
      );
      const { credentials } = await connectWithPhrase({ ...request, keyDocument: 1 }, callsTo(repository));
      assert.deepEqual(credentials.secret, secret);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

test('reading notes a newer head, and lifts no fence', async () => {
  await inPlace(async (place) => {
    const repository = new MemoryRepository('cd'.repeat(16) as never);
    await pairWhole(place, new FakeServer());
    const head = { number: 3 as never, sha256: random(32) };
    const status = { ...(await repository.status()), head, epoch: 1 as never };
    await rememberHead(place.state, { ...status, head: undefined });
    assert.equal(await place.state.seenHead(), undefined);
    await rememberHead(place.state, status);
    const later = { number: 5 as never, sha256: random(32) };
    await rememberHead(place.state, { ...status, head: later, epoch: 2 as never });
    const seen = await place.state.seenHead();
    assert.equal(seen?.number, 5);
    assert.equal(seen?.epoch, 1, 'the machine still lives in its own epoch');
    await rememberHead(place.state, status);
    assert.equal((await place.state.seenHead())?.number, 5, 'never back');
  });
});
