// The file system as this program uses it: a dozen primitive calls, so that tests can put a model of power cuts in their place.
// Paths are absolute. Errors are Node's own (with `code`); map-fs-error.ts turns them into FallbackErrors.

/** What is known of a file or folder without opening it. */
export interface FileFacts {
  readonly type: 'file' | 'folder' | 'other';
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
  readonly userId: number;
  readonly groupId: number;
}

export interface FolderEntry {
  readonly name: string;
  readonly isFolder: boolean;
}

/** An open file. */
export interface OpenFile {
  /** Writes all of `bytes` at the end of what was written so far. */
  append(bytes: Uint8Array): Promise<void>;
  /** Fills `target` from `position` on; returns how many bytes there were. */
  read(target: Uint8Array, position: number): Promise<number>;
  sizeBytes(): Promise<number>;
  /** As the kernel knows it; a model of a file system has none. */
  readonly descriptor?: number | undefined;
  /** Makes contents and length durable. After an error the file must be thrown away, never synced again. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** The primitive calls. Everything that must survive a power cut is built from them in this folder, and only here. */
export interface FileSystem {
  /** A new file with mode 0600; EEXIST when the name is taken. It gets the owner of its folder when run as root. */
  createFile(path: string): Promise<OpenFile>;
  openFile(path: string): Promise<OpenFile>;
  /** The first bytes of a file, or all of it when it is shorter, in one go: half of what it costs to open, read and close it. */
  readStart(path: string, bytesMax: number): Promise<Uint8Array>;
  /** A new folder with mode 0700; EEXIST when the name is taken. */
  createFolder(path: string): Promise<void>;
  /** A second name for a file; EEXIST when it is taken. */
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Removes many names, those that are there, in their order. */
  unlinkAll(paths: readonly string[]): Promise<void>;
  /** Makes the names in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** What lies in a folder, in no order. */
  list(path: string): Promise<readonly FolderEntry[]>;
  /** Undefined when there is nothing by that name; symbolic links are not followed. */
  facts(path: string): Promise<FileFacts | undefined>;
  /** Bytes that this user may still write. */
  freeBytes(path: string): Promise<number>;
}
