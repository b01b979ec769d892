// A repository on a server: the store interface over HTTPS. PROTOCOL.md, Routes.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../bytes/hex.ts';
import { FallbackError } from '../../errors/fallback-error.ts';
import { type Epoch, type LeaseId, parseEpoch, type RepositoryId, type SnapshotNumber } from '../../format/ids.ts';
import { limits } from '../../format/limits.ts';
import { PackRanges } from '../../format/pack-ranges.ts';
import type {
  ByteSpan,
  Lease,
  LeaseRequest,
  RepositoryStatus,
  RepositoryTakeover,
  SnapshotSummary,
} from '../../store/repository-store.ts';
import { array, decodeAnswer, decodeLease, decodeStatus, decodeSummary, integer, object } from './decode-answers.ts';
import { type Answer, type Call, type CallBody, foreign, HttpClient, type HttpClientOptions } from './http-client.ts';
import { readDirectories } from './read-directories.ts';
import { readObject } from './read-object.ts';
import type { Traffic } from './traffic.ts';

export interface HttpRepositoryOptions extends HttpClientOptions {
  readonly repositoryId: RepositoryId;
  /** 32 bytes: what the server lets this client do depends on it. */
  readonly token: Uint8Array;
}

/** A body with its SHA-256. */
export function callBody(type: CallBody['type'], parts: readonly Uint8Array[], sha256?: Uint8Array): CallBody {
  const hash = (): Uint8Array => {
    const running = createHash('sha256');
    for (const part of parts) running.update(part);
    return new Uint8Array(running.digest());
  };
  return { type, parts, sha256: sha256 ?? hash() };
}

/** A JSON body. */
export const jsonBody = (value: unknown): CallBody =>
  callBody('application/json', [Buffer.from(JSON.stringify(value))]);

/** More ranges than are ever shown. */
const rangesKept = 8;

function withFewRanges(summary: SnapshotSummary): SnapshotSummary {
  return { ...summary, packsDamaged: PackRanges.from(summary.packsDamaged.ranges.slice(0, rangesKept)) };
}

type Request = Pick<Call, 'method'> & Partial<Call>;

/** A repository on a server. What may be repeated is repeated when the network or the server fails for a while. */
export class HttpRepository implements RepositoryTakeover {
  readonly repositoryId: RepositoryId;
  readonly #client: HttpClient;
  readonly #token: Uint8Array;
  readonly #root: string;

  constructor(options: HttpRepositoryOptions) {
    this.repositoryId = options.repositoryId;
    this.#client = new HttpClient(options);
    this.#token = options.token;
    this.#root = `/v1/repositories/${options.repositoryId}`;
  }

  /** Bytes sent and received so far. */
  traffic(): Traffic {
    return this.#client.traffic();
  }

  #call(path: string, request: Request): Call {
    return {
      token: this.#token,
      success: [200],
      repeatable: true,
      answerBytesMax: this.#client.limits.smallAnswerBytesMax,
      ...request,
      path: this.#root + path,
    };
  }

  async #send(path: string, request: Request): Promise<Answer> {
    return await this.#client.send(this.#call(path, request));
  }

  #own(status: RepositoryStatus): RepositoryStatus {
    if (status.repositoryId === this.repositoryId) return status;
    throw new FallbackError('TRUST_REPOSITORY', 'The server answered for another repository than the one asked for.');
  }

  async status(): Promise<RepositoryStatus> {
    const answer = await this.#send('', { method: 'GET', answerBytesMax: this.#client.limits.statusBytesMax });
    return this.#own(decodeAnswer(answer.body, decodeStatus));
  }

  async configuration(): Promise<Uint8Array> {
    const answer = await this.#send('/configuration', { method: 'GET', answerBytesMax: limits.configurationBytesMax });
    return answer.body;
  }

  async keyDocumentNumbers(): Promise<readonly number[]> {
    const { body } = await this.#send('/keys', { method: 'GET' });
    return decodeAnswer(body, ({ numbers }) =>
      array(numbers, limits.keyDocumentsMax).map((number) => integer(number, limits.packNumberMax)),
    );
  }

  async keyDocument(number: number): Promise<Uint8Array> {
    const answer = await this.#send(`/keys/${number}`, { method: 'GET', answerBytesMax: limits.keyDocumentBytesMax });
    return answer.body;
  }

  async snapshots(): Promise<readonly SnapshotSummary[]> {
    const found: SnapshotSummary[] = [];
    let ranges = 0;
    for (let page = 0; page < this.#client.limits.snapshotPagesMax; page++) {
      const after = found.at(-1)?.number ?? 0;
      const answerBytesMax = this.#client.limits.snapshotPageBytesMax;
      const { body } = await this.#send(`/snapshots?after=${after}`, { method: 'GET', answerBytesMax });
      const more = decodeAnswer(body, (fields) => {
        let previous = after;
        for (const item of array(fields['snapshots'], 1_000)) {
          const summary = decodeSummary(object(item));
          if (summary.number <= previous) throw foreign();
          previous = summary.number;
          ranges += summary.packsDamaged.ranges.length;
          found.push(ranges > this.#client.limits.damagedRangesMax ? withFewRanges(summary) : summary);
        }
        if (typeof fields['more'] !== 'boolean' || (fields['more'] && previous === after)) throw foreign();
        return fields['more'];
      });
      if (!more) return found;
    }
    throw foreign();
  }

  async snapshot(number: SnapshotNumber): Promise<Uint8Array> {
    return await this.#read(`/snapshots/${number}`, limits.snapshotFileBytesMax);
  }

  async pack(number: number, span?: ByteSpan): Promise<Uint8Array> {
    return await this.#read(`/packs/${number}`, limits.packFileBytesMax, span);
  }

  async packFile(): Promise<undefined> {}

  async #read(path: string, bytesMax: number, span?: ByteSpan): Promise<Uint8Array> {
    return await readObject(this.#client, this.#call(path, { method: 'GET', answerBytesMax: bytesMax }), span);
  }

  directories(fromPack: number): AsyncIterable<Uint8Array> {
    const call = this.#call('/directories', { method: 'GET' });
    return readDirectories(this.#client, call, this.repositoryId, fromPack);
  }

  async lostDirectory(number: number): Promise<Uint8Array | undefined> {
    const request: Request = {
      method: 'GET',
      success: [200, 204],
      answerBytesMax: limits.packDirectoryBytesMax + 1024,
    };
    const { status, body } = await this.#send(`/packs/${number}/lost-directory`, request);
    return status === 204 ? undefined : body;
  }

  async acquireLease(request: LeaseRequest): Promise<Lease> {
    const { leaseId, epoch, holder } = request;
    const { body } = await this.#send(`/leases/${leaseId}`, {
      method: 'PUT',
      body: jsonBody({ epoch, holder }),
      answerBytesMax: this.#client.limits.statusBytesMax,
    });
    const lease = decodeAnswer(body, decodeLease);
    if (lease.leaseId !== leaseId) throw foreign();
    this.#own(lease.status);
    return lease;
  }

  async renewLease(leaseId: LeaseId): Promise<void> {
    await this.#send(`/leases/${leaseId}/renewal`, { method: 'POST', success: [204] });
  }

  async releaseLease(leaseId: LeaseId): Promise<void> {
    await this.#send(`/leases/${leaseId}`, { method: 'DELETE', success: [204] });
  }

  async putPack(leaseId: LeaseId, number: number, parts: readonly Uint8Array[], sha256: Uint8Array): Promise<void> {
    await this.#send(`/packs/${number}`, {
      method: 'PUT',
      success: [204],
      headers: { 'fallback-lease': leaseId },
      body: callBody('application/octet-stream', parts, sha256),
    });
  }

  async commitSnapshot(leaseId: LeaseId, file: Uint8Array): Promise<SnapshotSummary> {
    const body = callBody('application/octet-stream', [file]);
    const answer = await this.#send('/snapshots', {
      method: 'POST',
      success: [201],
      headers: { 'fallback-lease': leaseId },
      body,
      answerBytesMax: this.#client.limits.snapshotPageBytesMax,
    });
    const summary = decodeAnswer(answer.body, decodeSummary);
    if (equalBytes(summary.sha256, body.sha256)) return summary;
    const details = { answered: toHex(summary.sha256) };
    throw new FallbackError('PROTOCOL', 'The server acknowledged another snapshot than the one sent.', { details });
  }

  async putKeyDocument(number: number, file: Uint8Array): Promise<void> {
    const body = callBody('application/octet-stream', [file]);
    await this.#send(`/keys/${number}`, { method: 'PUT', success: [204], body });
  }

  async raiseEpoch(expected: Epoch): Promise<Epoch> {
    const { body } = await this.#send('/epoch', { method: 'PUT', body: jsonBody({ expected }) });
    return decodeAnswer(body, (fields) => parseEpoch(integer(fields['epoch'])));
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
