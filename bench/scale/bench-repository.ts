// What the writer and the loader of a synthetic index must agree upon.

export const benchRepository = { id: '0123456789abcdef0123456789abcdef', generation: '0000000000000001' } as const;
export const benchSecret = new Uint8Array(32).fill(9);

/** What the loading process prints. */
export interface LoadedFigures {
  readonly chunks: number;
  readonly loadMs: number;
  /** Resident memory before anything was loaded. */
  readonly bareBytes: number;
}

/** What the process prints that asked the server. */
export interface RebuiltFigures extends LoadedFigures {
  readonly fetchedDirectories: number;
  readonly receivedBytes: number;
}
