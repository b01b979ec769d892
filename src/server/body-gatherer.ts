// Gathers a request's body into large pieces: TLS hands over 16 KiB at a time, and a write to disk for each of them cost
// a server more than TLS and SHA-256 together.
import type { IncomingMessage } from 'node:http';

/** Two pieces are held at most: one that is being taken, one that is being filled. */
const pieceBytesMax = 256 * 1024;

/** Takes a piece; it must not be looked at once the promise has resolved. */
export type TakePiece = (bytes: Uint8Array) => Promise<void> | void;

/** One body on its way from the socket to its taker; used once. */
export class BodyGatherer {
  readonly #request: IncomingMessage;
  readonly #take: TakePiece;
  readonly #onArrival: (bytes: number) => void;
  readonly #waiting: Buffer[] = [];
  #filling: Buffer;
  #spare: Buffer | undefined;
  #filledBytes = 0;
  #isTaking = false;
  #hasEnded = false;

  /** @param bodyBytes how long the body says it is. @param onArrival is told of all bytes as they come. */
  constructor(request: IncomingMessage, bodyBytes: number, take: TakePiece, onArrival: (bytes: number) => void) {
    this.#request = request;
    this.#take = take;
    this.#onArrival = onArrival;
    this.#filling = Buffer.allocUnsafeSlow(Math.max(1, Math.min(pieceBytesMax, bodyBytes)));
  }

  /** Whether the peer is made to wait, because a piece is still being taken. */
  get isHolding(): boolean {
    return this.#isTaking && this.#request.isPaused();
  }

  /** Resolves when the last piece was taken. @throws what `take` throws; the request's own error, or a plain one when it was cut. */
  async run(): Promise<void> {
    const request = this.#request;
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void): void => {
        request.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
        request.pause();
        act();
      };
      const goOn = (): void => {
        try {
          if (this.#pump(goOn, onError)) settle(resolve);
        } catch (error) {
          onError(error);
        }
      };
      const onData = (bytes: Buffer): void => {
        this.#onArrival(bytes.byteLength);
        this.#waiting.push(bytes);
        goOn();
      };
      const onEnd = (): void => {
        this.#hasEnded = true;
        goOn();
      };
      const onError = (error: unknown): void => settle(() => reject(error));
      const onClose = (): void => {
        if (!this.#hasEnded) onError(new Error('the body was cut'));
      };
      request.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
    });
  }

  /** Moves on as far as it can without waiting; `goOn` is called when more can be done. Returns whether all is taken. */
  #pump(goOn: () => void, onError: (error: unknown) => void): boolean {
    for (;;) {
      this.#fill();
      const isPiece = this.#filledBytes === this.#filling.byteLength || (this.#hasEnded && this.#filledBytes > 0);
      if (!isPiece) {
        if (this.#hasEnded) return !this.#isTaking;
        if (this.#request.isPaused()) this.#request.resume();
        return false;
      }
      if (this.#isTaking) {
        this.#request.pause();
        return false;
      }
      const piece = this.#filling;
      const taken = this.#take(piece.subarray(0, this.#filledBytes));
      this.#filledBytes = 0;
      if (taken === undefined) continue;
      this.#filling = this.#spare ?? Buffer.allocUnsafeSlow(piece.byteLength);
      this.#spare = undefined;
      this.#isTaking = true;
      taken.then(() => {
        this.#isTaking = false;
        this.#spare = piece;
        goOn();
      }, onError);
    }
  }

  #fill(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      const count = next.copy(this.#filling, this.#filledBytes);
      this.#filledBytes += count;
      if (count === next.byteLength) this.#waiting.shift();
      else this.#waiting[0] = next.subarray(count);
      if (this.#filledBytes === this.#filling.byteLength) return;
    }
  }
}
