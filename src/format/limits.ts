// Every limit of the format and the protocol, in one table with units. A reader refuses what is beyond; docs/FORMAT.md lists the same.

const KiB = 1024;
const MiB = 1024 * KiB;

export const limits = {
  /** One chunk's contents. */
  chunkBytesMax: 2 * MiB,
  /** Chunks in one pack: their position is a 16-bit number. */
  packChunksMax: 65_535,
  /** A pack's contents before compression. */
  packContentsBytesMax: 16 * MiB,
  /** A pack file: header, sealed directory and sealed body. */
  packFileBytesMax: 20 * MiB,
  /** A sealed directory. */
  packDirectoryBytesMax: 3 * MiB,
  /** Pack numbers fit into 40 bits: so many packs of 4 MiB are four exabytes. */
  packNumberMax: 2 ** 40 - 1,
  /** Times that one pack may be healed. */
  packRevisionMax: 65_535,
  /** A snapshot file. */
  snapshotFileBytesMax: 16 * MiB,
  snapshotNumberMax: 2 ** 32 - 1,
  epochMax: 2 ** 32 - 1,
  /** Archives in one snapshot. */
  snapshotArchivesMax: 4_096,
  /** Ranges of pack numbers that one snapshot needs. */
  packRangesMax: 1_000_000,
  /** Leaves room for `.tar` and a temporary suffix in a file name of 255. */
  archiveNameBytesMax: 240,
  archiveBytesMax: 2 ** 50,
  originBytesMax: 32,
  attributesMax: 64,
  attributeBytesMax: 4 * KiB,
  noteBytesMax: 4 * KiB,
  /** The encoded runs of one recipe. */
  recipeRunsBytesMax: 256 * MiB,
  /** The encoded catalogue of one archive. */
  catalogueBytesMax: 1024 * MiB,
  memberNameBytesMax: 64 * KiB,
  memberModeMax: 0o7777,
  /** User and group ids, positive or negative. */
  memberIdMax: 2 ** 51,
  /** One member of a catalogue, encoded: two names, two owner names, numbers. */
  memberRecordBytesMax: 144 * KiB,
  /** A key document, and how many of them a repository keeps. */
  keyDocumentBytesMax: 4 * KiB,
  keyDocumentsMax: 64,
  keySlotsMax: 8,
  configurationBytesMax: 4 * KiB,
  argon2MemoryKiBMax: 1024 * 1024,
  argon2PassesMax: 16,
  argon2LanesMax: 16,
  pairingCodeCharactersMax: 1_024,
  hostBytesMax: 255,
  repositoryNameBytesMax: 64,
  /** JSON bodies of the protocol. */
  jsonBytesMax: 64 * KiB,
} as const;
