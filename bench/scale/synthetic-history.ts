// Which packs each night of a long history needs: some die within days, some within months, some never, as packs of real nights do.
import { PackRanges } from '../../src/format/pack-ranges.ts';
import { SeededRandom } from '../nights/random.ts';

/** Packs of one night that share their fate lie together, as those of one app do. */
const groupsPerNight = 50;

interface Group {
  readonly first: number;
  readonly last: number;
  /** The first night that no longer needs them. */
  readonly endNight: number;
}

/** Nights that a group is needed for: six in ten go within ten days, three within months, one stays. */
function lifetimeNights(random: SeededRandom): number {
  const kind = random.integer(10);
  if (kind < 6) return 1 + random.integer(10);
  if (kind < 9) return 1 + Math.ceil(-100 * Math.log1p(-random.integer(1e6) / 1e6));
  return Number.POSITIVE_INFINITY;
}

/** `packs` packs in `nights` nights, as many each night. */
export class SyntheticHistory {
  readonly packs: number;
  readonly nights: number;
  readonly #groups: Group[] = [];

  constructor(packs: number, nights: number) {
    this.packs = packs;
    this.nights = nights;
    const random = new SeededRandom('lifetimes');
    const perNight = packs / nights;
    const groups = Math.max(1, Math.min(groupsPerNight, Math.floor(perNight)));
    let first = 1;
    for (let night = 1; night <= nights; night++) {
      for (let group = 1; group <= groups; group++) {
        const last = Math.round((night - 1 + group / groups) * perNight);
        const endNight = night + lifetimeNights(random);
        if (last >= first) this.#groups.push({ first, last, endNight });
        first = last + 1;
      }
    }
  }

  /** The night that sent a pack, from 1. */
  nightOf(pack: number): number {
    return Math.min(this.nights, Math.ceil((pack * this.nights) / this.packs));
  }

  /** What every night needs, in order. */
  *needed(): Generator<PackRanges> {
    let alive: Group[] = [];
    let next = 0;
    for (let night = 1; night <= this.nights; night++) {
      for (; ; next++) {
        const group = this.#groups[next];
        if (group === undefined || this.nightOf(group.last) > night) break;
        alive.push(group);
      }
      alive = alive.filter(({ endNight }) => endNight > night);
      yield PackRanges.from(alive);
    }
  }
}
