// Main servers that push to one fallback server: each paired, with a state folder, a repository and an archive of its own.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FallbackServer } from './fallback.ts';

/** Pairings on their way: each derives keys, which takes a core. */
const pairingsAtOnce = 2;

export interface PairedClient {
  /** The arguments of its push. */
  readonly push: readonly string[];
  /** Where its only archive goes; its folder is there. */
  readonly archive: string;
}

/** Pairs `count` clients, whose folders lie in `folder`. */
export async function pairClients(server: FallbackServer, folder: string, count: number): Promise<PairedClient[]> {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  const clients: PairedClient[] = [];
  for (let at = 0; at < count; at += pairingsAtOnce) {
    const some = numbers.slice(at, at + pairingsAtOnce).map(async (number) => {
      const state = join(folder, `state-${number}`);
      await server.pair(`client ${number}`, state);
      const archives = join(folder, `archives-${number}`);
      await mkdir(archives);
      return { push: ['push', archives, '--state', state, '--quiet'], archive: join(archives, 'data.tar') };
    });
    clients.push(...(await Promise.all(some)));
  }
  return clients;
}
