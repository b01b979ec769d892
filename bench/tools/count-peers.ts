// What restic and borg store for the same nights: by how much their repositories grow.
import { dirname } from 'node:path';
import type { NightCost } from '../dedup/count-pushes.ts';
import type { ModeContext } from '../modes/mode.ts';
import { type Night, nightBytes } from '../nights/prepare-nights.ts';
import { pickTools } from './all-tools.ts';
import type { Tool } from './tool.ts';

async function countTool(tool: Tool, nights: readonly Night[], folder: string): Promise<NightCost[]> {
  const repository = await tool.open(folder, false);
  const costs: NightCost[] = [];
  try {
    let before = await repository.storedBytes();
    for (const night of nights) {
      const [first] = night.files;
      if (first === undefined) continue;
      await repository.push(dirname(first.path));
      const after = await repository.storedBytes();
      costs.push({
        readBytes: nightBytes(night),
        newBytes: 0,
        sentBytes: after - before,
        directoryBytes: 0,
        chunks: 0,
      });
      before = after;
    }
  } finally {
    await repository.stop();
  }
  return costs;
}

export async function countPeers(
  { report, work }: ModeContext,
  nights: readonly Night[],
): Promise<{ name: string; costs: NightCost[] }[]> {
  const ways: { name: string; costs: NightCost[] }[] = [];
  for (const tool of pickTools(['restic-folder', 'borg-folder'], report)) {
    report.progress(`${tool.name}, ${tool.version}`);
    const costs = await countTool(tool, nights, await work.folder('peer'));
    ways.push({ name: `${tool.name.replace(', folder', '')} ${tool.version} (repository’s growth)`, costs });
  }
  return ways;
}
