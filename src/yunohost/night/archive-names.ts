// Names of the archives that exist for a moment in YunoHost's folder: the same every night, so that nothing in them changes
// by their name alone. All that begins with the prefix is ours, and is removed before a push.
import { createHash } from 'node:crypto';

/** Reserved: nobody else's archive may begin so. */
export const nightPrefix = 'fallback-night-';
/** YunoHost's limit. */
const nameLengthMax = 50;

/** YunoHost's name for an archive of ours: `fallback-night-system`, `fallback-night-app-nextcloud`. */
export function nightName(kind: 'system' | 'app', id: string): string {
  const name = kind === 'system' ? `${nightPrefix}system` : `${nightPrefix}app-${id}`;
  if (name.length <= nameLengthMax) return name;
  const hash = createHash('sha256').update(id).digest('hex').slice(0, 8);
  return `${name.slice(0, nameLengthMax - 9)}-${hash}`;
}
