// All members of a tar in typed arrays: about 50 bytes a member, so that archives of millions can be compared.
import { hash } from 'node:crypto';
import type { CatalogueMember } from '../../format/catalogue.ts';
import type { CatalogueReader } from '../read/catalogue-reader.ts';
import { GrowingFloat64, GrowingUint32 } from '../read/growing-array.ts';
import { normalizeMemberPath } from '../read/member-pattern.ts';
import { NameTable } from '../read/name-table.ts';

/** 64 bits of a hash of everything but a member's name, place, size and contents. */
export function metadataHash(member: CatalogueMember): readonly [number, number] {
  const { type, mode, userId, groupId, userName, groupName, modifiedSeconds, linkName } = member;
  const facts = [type, mode, userId, groupId, userName, groupName, modifiedSeconds, linkName];
  const digest = hash('sha256', JSON.stringify(facts), 'buffer');
  return [digest.readUInt32LE(0), digest.readUInt32LE(4)];
}

/** What is kept of a member. */
export interface ListedMember {
  readonly contentStart: number;
  readonly sizeBytes: number;
  readonly metadata: readonly [number, number];
}

/** The members of one archive, by name; of several with one name, the last. */
export class MemberList {
  readonly #names = new NameTable();
  readonly #contentStarts = new GrowingFloat64();
  readonly #sizes = new GrowingFloat64();
  readonly #metadataLow = new GrowingUint32();
  readonly #metadataHigh = new GrowingUint32();

  /** Reads a catalogue. @throws what CatalogueReader.members throws. */
  static async read(catalogue: CatalogueReader): Promise<MemberList> {
    const list = new MemberList();
    for await (const member of catalogue.members()) list.#add(member);
    return list;
  }

  #add(member: CatalogueMember): void {
    const [low, high] = metadataHash(member);
    this.#names.set(normalizeMemberPath(member.name), this.#sizes.length);
    this.#contentStarts.push(member.headerOffset + member.headerBytes);
    this.#sizes.push(member.sizeBytes);
    this.#metadataLow.push(low);
    this.#metadataHigh.push(high);
  }

  /** Whether the member at `index` is the last of its name. @param path normalized. */
  isLast(path: string, index: number): boolean {
    return this.#names.get(path) === index;
  }

  has(path: string): boolean {
    return this.#names.get(path) >= 0;
  }

  find(path: string): ListedMember | undefined {
    const index = this.#names.get(path);
    if (index < 0) return undefined;
    return {
      contentStart: this.#contentStarts.at(index),
      sizeBytes: this.#sizes.at(index),
      metadata: [this.#metadataLow.at(index), this.#metadataHigh.at(index)],
    };
  }
}
