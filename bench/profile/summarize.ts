// Reads V8's CPU profiles and says which stage the time went to.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string };
  readonly children?: readonly number[];
}

interface CpuProfile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** A stage, and the frames that belong to it: the innermost frame that matches decides. */
const stages: readonly (readonly [stage: string, url: RegExp, name?: RegExp])[] = [
  ['idle', /^$/, /^\(idle\)$/],
  ['garbage collection', /^$/, /^\(garbage collector\)$/],
  // undici's parser is WebAssembly too.
  ['cut (kernel)', /^wasm:/, /^cut$/],
  ['cut (kernel)', /\/chunker\/(fallback|fastcdc)-engine/],
  ['cut (tar rules)', /\/src\/(chunker|tar)\//],
  ['compress, unpack (zstd)', /^node:zlib|internal\/.*zlib/],
  ['chunk ids', /\/crypto\/chunk-id\.ts$/],
  ['seal, open', /\/crypto\/seal\.ts$|@noble/],
  ['packs (encode, compare)', /\/crypto\/sealed-pack\.ts$|\/format\//],
  ['digests', /crypto-tasks\.ts$/, /digest|seal|run/i],
  ['hashes, other crypto', /^node:internal\/crypto/],
  ['index', /\/sync\/index\//],
  ['place chunks, recipes', /\/sync\/push\//],
  ['restore', /\/sync\/(restore|read)\//],
  ['threads (messages)', /worker|messaging|worker-pool/],
  [
    'network, TLS',
    /undici|^node:(_?tls|_?http|net|https|internal\/(js_stream|stream_base|streams))|\/sync\/http\/|_tls_wrap|_http/,
  ],
  ['store, files', /^node:(internal\/)?fs|\/src\/(store|fs)\/|sqlite/],
  ['server', /\/src\/server\//],
  ['start (compile, load modules)', /^node:internal\/(modules|bootstrap|main|process|deps|vm)|^node:vm/],
  ['command line', /\/src\/cli\/|commander/],
];

function stageOf(node: ProfileNode): string | undefined {
  const { url, functionName } = node.callFrame;
  return stages.find(([, urls, names]) => urls.test(url) && (names === undefined || names.test(functionName)))?.[0];
}

/** Milliseconds by stage of one thread. */
export function stageTimes(profile: CpuProfile): Map<string, number> {
  const parents = new Map<number, ProfileNode>();
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  for (const node of profile.nodes) for (const child of node.children ?? []) parents.set(child, node);
  const known = new Map<number, string>();
  const find = (id: number): string => {
    const found = known.get(id);
    if (found !== undefined) return found;
    const node = byId.get(id);
    const parent = parents.get(id);
    let stage = node === undefined ? undefined : stageOf(node);
    // Hashes and native calls belong to who called them.
    const isShared = stage === undefined || stage === 'hashes, other crypto';
    if (isShared && parent !== undefined) {
      const above = find(parent.id);
      if (above !== 'other' || stage === undefined) stage = above;
    }
    const result = stage ?? (node?.callFrame.functionName === '(program)' ? 'native, not in JavaScript' : 'other');
    known.set(id, result);
    return result;
  };
  const times = new Map<string, number>();
  for (const [index, id] of profile.samples.entries()) {
    const stage = find(id);
    times.set(stage, (times.get(stage) ?? 0) + (profile.timeDeltas[index] ?? 0) / 1000);
  }
  return times;
}

/** All profiles of a folder: one for each thread. The busiest main thread comes first. */
export function readProfiles(folder: string): { name: string; times: Map<string, number> }[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.cpuprofile'))
    .sort()
    .map((name) => ({
      name,
      times: stageTimes(JSON.parse(readFileSync(join(folder, name), 'utf8')) as CpuProfile),
    }));
}
