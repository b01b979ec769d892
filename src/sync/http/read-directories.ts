// The stream of all packs' directories: split where their headers say, taken up again where it broke.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { RepositoryId } from '../../format/ids.ts';
import { decodePackHeader, packHeaderBytes } from '../../format/pack.ts';
import { AttemptFailed } from './attempt-failed.ts';
import { failureOf, foreignAnswer } from './classify-failure.ts';
import type { Call, HttpClient } from './http-client.ts';

const endedEarly = (): AttemptFailed =>
  new AttemptFailed({
    error: new FallbackError('UNREACHABLE', 'The server’s list of directories ended early.'),
    repeat: 'yes',
  });

const outOfOrder = (): AttemptFailed => new AttemptFailed(failureOf(foreignAnswer));

/** One directory a turn, each with its number, from the chunks of one answer. */
async function* split(
  chunks: AsyncIterable<Uint8Array>,
  repositoryId: RepositoryId,
): AsyncGenerator<{ number: number; bytes: Uint8Array }> {
  let pending: Uint8Array = new Uint8Array(0);
  for await (const chunk of chunks) {
    pending = pending.byteLength === 0 ? chunk : new Uint8Array(Buffer.concat([pending, chunk]));
    while (pending.byteLength >= packHeaderBytes) {
      const header = decodePackHeader(pending);
      if (header.repositoryId !== repositoryId) throw outOfOrder();
      const length = packHeaderBytes + header.directoryBytes;
      if (pending.byteLength < length) break;
      yield { number: header.number, bytes: pending.slice(0, length) };
      pending = pending.subarray(length);
    }
  }
  if (pending.byteLength > 0) throw endedEarly();
}

/** @param base the call without its query. */
export async function* readDirectories(
  client: HttpClient,
  base: Call,
  repositoryId: RepositoryId,
  fromPack: number,
): AsyncGenerator<Uint8Array> {
  const limiter = client.downloadLimiter;
  const pageBytes =
    limiter === undefined
      ? undefined
      : Math.max(client.limits.rangePieceBytesMin, Math.floor(limiter.bytesPerSecond / 8));
  let next = Math.max(1, fromPack);
  for (;;) {
    const page = pageBytes === undefined ? '' : `&bytes=${pageBytes}`;
    await limiter?.take(0);
    const from = next;
    // The first of each answer is fetched with retries; what breaks later is taken up by a new answer from there on.
    const { directories, first } = await client.retry(true, async () => {
      const opened = split(client.stream({ ...base, path: `${base.path}?from=${next}${page}` }), repositoryId);
      return { directories: opened, first: await opened.next() };
    });
    try {
      for (let item = first; item.done !== true; item = await directories.next()) {
        if (item.value.number < next) throw outOfOrder();
        next = item.value.number + 1;
        limiter?.charge(item.value.bytes.byteLength);
        yield item.value.bytes;
      }
    } catch (error) {
      if (!(error instanceof AttemptFailed)) throw error;
      // Progress was made, or the first would have thrown: a server that breaks off after each one still gets on.
      if (error.failure.repeat === 'no' || next === from) throw error.failure.error;
      continue;
    } finally {
      await directories.return(undefined);
    }
    if (pageBytes === undefined || next === from) return;
  }
}
