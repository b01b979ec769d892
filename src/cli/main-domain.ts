// The main server's domain, noted in the state folder by what has the key, for the watch, which has none.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RepositorySession } from '../sync/repository-session.ts';
import type { Machine } from './open-takeover.ts';

const noteFile = 'main-domain';

/** Notes the domain that the watch asks when the configuration names none; an empty one is not noted. @throws IO. */
export async function noteMainDomain({ invocation, host }: Machine, domain: string): Promise<void> {
  if (domain === '') return;
  const [{ replaceFile }, { ensureFolder }] = await Promise.all([
    import('../fs/replace-file.ts'),
    import('../fs/ensure-folder.ts'),
  ]);
  const { fs, randomBytes } = invocation.world;
  await ensureFolder(fs, host.stateFolder);
  const random = Buffer.from(randomBytes(8)).toString('hex');
  await replaceFile(fs, join(host.stateFolder, noteFile), Buffer.from(`${domain}\n`), host.stateFolder, random);
}

/** The domain that the main server's newest night names; empty: there is no snapshot, or it names none. @throws SEAL_BROKEN, DAMAGED. */
export async function mainDomainOf(session: RepositorySession): Promise<string> {
  const [{ newestMainSnapshot }, { factsFromAttributes }] = await Promise.all([
    import('../yunohost/takeover/choose-snapshot.ts'),
    import('../yunohost/night/machine-facts.ts'),
  ]);
  const newest = await newestMainSnapshot(session);
  return newest === undefined ? '' : factsFromAttributes(newest.record.attributes).mainDomain;
}

/** The domains that the watch asks: those of the configuration, else the noted one; none where nothing is known. */
export async function watchedDomains({ configuration, host }: Machine): Promise<readonly string[]> {
  const { domains } = configuration.watch;
  if (domains.length > 0) return domains;
  const text = await readFile(join(host.stateFolder, noteFile), 'utf8').catch(() => '');
  return text.split('\n').filter((one) => one !== '');
}
