// The routes of one repository: each turns a request into one call of the store, and its answer into a reply.
import { FallbackError } from '../errors/fallback-error.ts';
import { type LeaseId, parseEpoch, parseLeaseId, parseSnapshotNumber } from '../format/ids.ts';
import { limits } from '../format/limits.ts';
import type { PackReading } from '../store/pack-reader.ts';
import type { SnapshotReading } from '../store/snapshot-reader.ts';
import { parseByteRange } from './byte-range.ts';
import { encodeLease, encodeStatus, encodeSummary } from './encode-answers.ts';
import type { BodyRule } from './incoming-body.ts';
import { RequestRefused } from './problem.ts';
import { bytesReply, emptyReply, jsonReply, type Reply } from './reply.ts';
import { parseInteger } from './request-fields.ts';
import type { RepositoryExchange, RepositoryRoute } from './route.ts';

const root = '/v1/repositories/{repository}';
const plain = { query: [], body: undefined, success: 200, ranges: false, codes: [] } as const;
const bytesBody = (bytesMax: number): BodyRule => ({ type: 'application/octet-stream', bytesMax });
const jsonBody: BodyRule = { type: 'application/json', bytesMax: limits.jsonBytesMax };
const leaseCodes = ['LEASE_LOST', 'FENCED'] as const;
const uploadCodes = ['DIGEST_MISMATCH', 'QUOTA_EXCEEDED', 'FORMAT_INVALID', 'FORMAT_UNSUPPORTED', 'CONFLICT'] as const;

/** The header that names the lease of a write. */
export const leaseHeader = 'fallback-lease';

function leaseOf(exchange: RepositoryExchange): LeaseId {
  const text = exchange.params.lease ?? exchange.headers[leaseHeader]?.toString() ?? '';
  if (!/^[0-9a-f]{32}$/.test(text)) {
    throw new RequestRefused(400, 'REQUEST_INVALID', `The header ${leaseHeader} must name a lease.`);
  }
  return parseLeaseId(text);
}

function numberOf(exchange: RepositoryExchange, max: number): number {
  const number = parseInteger(exchange.params.number ?? '', 1, max);
  if (number === undefined) throw new FallbackError('NOT_FOUND', 'There is nothing under this number.');
  return number;
}

/** Packs and snapshots are read while they are sent, so that a slow reader holds one read's worth of memory and no more. */
async function streamReply(exchange: RepositoryExchange, object: PackReading | SnapshotReading): Promise<Reply> {
  const close = async (): Promise<void> => await object.close();
  try {
    return { ...rangeReply(exchange, object.sizeBytes, (start, end) => object.stream({ start, end })), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function getPack(exchange: RepositoryExchange): Promise<Reply> {
  return await streamReply(exchange, await exchange.repository.openPack(numberOf(exchange, limits.packNumberMax)));
}

async function getSnapshot(exchange: RepositoryExchange): Promise<Reply> {
  const number = parseSnapshotNumber(numberOf(exchange, limits.snapshotNumberMax));
  return await streamReply(exchange, await exchange.repository.openSnapshot(number));
}

/** A pack is written while it arrives: the store refuses a lost lease before the first byte, and a wrong header after 40. */
async function putPack(exchange: RepositoryExchange): Promise<Reply> {
  const { repository, body } = exchange;
  const sink = await repository.beginPack(leaseOf(exchange), numberOf(exchange, limits.packNumberMax));
  try {
    await body.pipe((bytes) => sink.write(bytes));
    await sink.finish(body.sha256);
  } finally {
    await sink.abort();
  }
  return emptyReply;
}

function rangeReply(
  exchange: RepositoryExchange,
  sizeBytes: number,
  read: (start: number, end: number) => AsyncIterable<Uint8Array>,
): Reply {
  const range = parseByteRange(exchange.headers.range, sizeBytes);
  if (range === 'unsatisfiable') {
    throw new RequestRefused(416, 'LIMIT_EXCEEDED', 'The range lies outside the object.', {
      'content-range': `bytes */${sizeBytes}`,
    });
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  const headers = {
    'content-type': 'application/octet-stream',
    'cache-control': 'no-store',
    'accept-ranges': 'bytes',
    'content-length': String(end - start),
  };
  if (range === undefined) return { status: 200, headers, body: read(start, end) };
  const contentRange = `bytes ${start}-${end - 1}/${sizeBytes}`;
  return { status: 206, headers: { ...headers, 'content-range': contentRange }, body: read(start, end) };
}

const joinedBytes = 64 * 1024;

/** Small directories as one write, a large last one without a copy. */
function joinDirectories(directories: readonly Uint8Array[]): readonly Uint8Array[] {
  const last = directories.at(-1);
  if (last === undefined || last.byteLength < joinedBytes) return [Buffer.concat(directories)];
  return [Buffer.concat(directories.slice(0, -1)), last];
}

/** Joins small directories into larger writes; ends after the one that reaches `bytesMax`. */
async function* joined(
  first: IteratorResult<Uint8Array>,
  rest: AsyncIterator<Uint8Array>,
  bytesMax: number,
): AsyncGenerator<Uint8Array> {
  let pending: Uint8Array[] = [];
  let pendingBytes = 0;
  let totalBytes = 0;
  for (let item = first; item.done !== true; item = await rest.next()) {
    pending.push(item.value);
    pendingBytes += item.value.byteLength;
    totalBytes += item.value.byteLength;
    if (totalBytes >= bytesMax) break;
    if (pendingBytes < joinedBytes) continue;
    yield* joinDirectories(pending);
    pending = [];
    pendingBytes = 0;
  }
  yield* joinDirectories(pending);
}

async function getDirectories(exchange: RepositoryExchange): Promise<Reply> {
  const fromPack = Number(exchange.query.get('from') ?? 1);
  const bytesMax = Number(exchange.query.get('bytes') ?? Number.MAX_SAFE_INTEGER);
  const directories = exchange.repository.directories(fromPack)[Symbol.asyncIterator]();
  // The first is fetched before the head is sent, so that a refusal is still an answer and not a cut.
  const first = await directories.next();
  const headers = { 'content-type': 'application/octet-stream', 'cache-control': 'no-store' };
  // Also when nothing is sent any more: what was read ahead is let go.
  const close = async (): Promise<void> => {
    await directories.return?.();
  };
  return { status: 200, headers, body: joined(first, directories, bytesMax), close };
}

async function getSnapshots(exchange: RepositoryExchange): Promise<Reply> {
  const after = Number(exchange.query.get('after') ?? 0);
  const wanted = (await exchange.repository.snapshots()).filter((snapshot) => snapshot.number > after);
  const page = wanted.slice(0, exchange.limits.snapshotsPerPageMax);
  return jsonReply(200, { snapshots: page.map(encodeSummary), more: wanted.length > page.length });
}

/** A lost lease is refused before any byte of the body is taken: a body that is taken whole holds memory. */
async function postSnapshot(exchange: RepositoryExchange): Promise<Reply> {
  const { repository, body } = exchange;
  const leaseId = leaseOf(exchange);
  await repository.expectSnapshot(leaseId, body.sha256);
  return jsonReply(201, encodeSummary(await repository.commitSnapshot(leaseId, await body.whole())));
}

async function getLostDirectory(exchange: RepositoryExchange): Promise<Reply> {
  const directory = await exchange.repository.lostDirectory(numberOf(exchange, limits.packNumberMax));
  return directory === undefined ? emptyReply : bytesReply(200, directory);
}

async function getKeys(exchange: RepositoryExchange): Promise<Reply> {
  return jsonReply(200, { numbers: await exchange.repository.keyDocumentNumbers() });
}

const readRoutes: readonly RepositoryRoute[] = [
  {
    ...plain,
    method: 'GET',
    path: root,
    scope: 'read',
    summary: 'The state of the repository.',
    handle: async ({ repository }) => jsonReply(200, encodeStatus(await repository.status())),
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/configuration`,
    scope: 'read',
    codes: ['DAMAGED'],
    summary: 'The sealed configuration.',
    handle: async ({ repository }) => bytesReply(200, await repository.configuration()),
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/keys`,
    scope: 'read',
    summary: 'The numbers of the key documents.',
    handle: getKeys,
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/keys/{number}`,
    scope: 'read',
    codes: ['DAMAGED'],
    summary: 'One key document.',
    handle: async (exchange) =>
      bytesReply(200, await exchange.repository.keyDocument(numberOf(exchange, limits.packNumberMax))),
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/snapshots`,
    scope: 'read',
    query: ['after'],
    summary: 'Summaries of the snapshots with a number above `after`, ascending, a page at a time.',
    handle: getSnapshots,
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/snapshots/{number}`,
    scope: 'read',
    ranges: true,
    codes: ['DAMAGED'],
    summary: 'One snapshot’s file.',
    handle: getSnapshot,
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/packs/{number}`,
    scope: 'read',
    ranges: true,
    codes: ['DAMAGED'],
    summary: 'One pack’s file.',
    handle: getPack,
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/packs/{number}/lost-directory`,
    scope: 'read',
    summary: 'Header and sealed directory of a lost pack; 204 when nothing is left of it.',
    handle: getLostDirectory,
  },
  {
    ...plain,
    method: 'GET',
    path: `${root}/directories`,
    scope: 'read',
    query: ['from', 'bytes'],
    summary: 'Header and sealed directory of every present pack from number `from` on, ascending, one after the other.',
    handle: getDirectories,
  },
];

const leaseRoutes: readonly RepositoryRoute[] = [
  {
    ...plain,
    method: 'PUT',
    path: `${root}/leases/{lease}`,
    scope: 'push',
    body: jsonBody,
    codes: ['BUSY', 'FENCED', 'CONFLICT', 'DIGEST_MISMATCH'],
    summary: 'Takes the lease, under an id that the writer made.',
    handle: async (exchange) => {
      const fields = await exchange.json();
      const epoch = parseEpoch(fields.integer('epoch', limits.epochMax));
      const holder = fields.text('holder', limits.hostBytesMax);
      fields.end();
      const lease = await exchange.repository.acquireLease({ leaseId: leaseOf(exchange), epoch, holder });
      return jsonReply(200, encodeLease(lease));
    },
  },
  {
    ...plain,
    method: 'POST',
    path: `${root}/leases/{lease}/renewal`,
    scope: 'push',
    success: 204,
    codes: leaseCodes,
    summary: 'Renews the lease.',
    handle: async (exchange) => {
      await exchange.repository.renewLease(leaseOf(exchange));
      return emptyReply;
    },
  },
  {
    ...plain,
    method: 'DELETE',
    path: `${root}/leases/{lease}`,
    scope: 'push',
    success: 204,
    summary: 'Gives the lease back; no error when it has ended already.',
    handle: async (exchange) => {
      await exchange.repository.releaseLease(leaseOf(exchange));
      return emptyReply;
    },
  },
];

const writeRoutes: readonly RepositoryRoute[] = [
  {
    ...plain,
    method: 'PUT',
    path: `${root}/packs/{number}`,
    scope: 'push',
    body: bytesBody(limits.packFileBytesMax),
    success: 204,
    codes: [...leaseCodes, ...uploadCodes],
    summary: 'Stores a pack durably, under the lease that the header `fallback-lease` names.',
    handle: putPack,
  },
  {
    ...plain,
    method: 'POST',
    path: `${root}/snapshots`,
    scope: 'push',
    body: bytesBody(limits.snapshotFileBytesMax),
    success: 201,
    codes: [...leaseCodes, ...uploadCodes, 'PACKS_MISSING'],
    summary: 'Publishes a snapshot, under the lease that the header `fallback-lease` names: the only commit point.',
    handle: postSnapshot,
  },
  {
    ...plain,
    method: 'PUT',
    path: `${root}/keys/{number}`,
    scope: 'push',
    body: bytesBody(limits.keyDocumentBytesMax),
    success: 204,
    codes: uploadCodes,
    summary: 'Adds a key document under the next number.',
    handle: async (exchange) => {
      await exchange.repository.putKeyDocument(numberOf(exchange, limits.packNumberMax), await exchange.body.whole());
      return emptyReply;
    },
  },
  {
    ...plain,
    method: 'PUT',
    path: `${root}/epoch`,
    scope: 'takeover',
    body: jsonBody,
    codes: ['CONFLICT', 'DIGEST_MISMATCH'],
    summary: 'Raises the epoch by one from the expected one; ends the lease of any older epoch.',
    handle: async (exchange) => {
      const fields = await exchange.json();
      const expected = parseEpoch(fields.integer('expected', limits.epochMax - 1));
      fields.end();
      return jsonReply(200, { epoch: await exchange.repository.raiseEpoch(expected) });
    },
  },
];

/** All routes of a repository. */
export const repositoryRoutes: readonly RepositoryRoute[] = [...readRoutes, ...leaseRoutes, ...writeRoutes];
