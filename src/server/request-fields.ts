// Reads the fields of JSON bodies and queries: every one is checked, unknown ones are refused.
import { fromHex } from '../bytes/hex.ts';
import { RequestRefused } from './problem.ts';

const refuse = (message: string): RequestRefused => new RequestRefused(400, 'REQUEST_INVALID', message);

function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (quoted) {
      if (character === 0x5c) at++;
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x5b || character === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (character === 0x5d || character === 0x7d) depth--;
  }
  return deepest;
}

/** A JSON object of untrusted bytes, read field by field. Every method throws REQUEST_INVALID. */
export class RequestFields {
  readonly #fields: Map<string, unknown>;

  /** @param depthMax nested arrays and objects that are allowed. */
  constructor(body: Uint8Array, depthMax: number) {
    let value: unknown;
    try {
      const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
      if (depthOf(text) > depthMax) throw refuse('The JSON body is nested too deeply.');
      value = JSON.parse(text);
    } catch (error) {
      if (error instanceof RequestRefused) throw error;
      throw refuse('The body is not JSON.');
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw refuse('The body is not a JSON object.');
    }
    this.#fields = new Map(Object.entries(value));
  }

  #take(name: string): unknown {
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }

  text(name: string, charactersMax: number): string {
    const value = this.#take(name);
    if (typeof value !== 'string' || value.length > charactersMax || !value.isWellFormed()) {
      throw refuse(`The field ${name} must be a text of at most ${charactersMax} characters.`);
    }
    return value;
  }

  integer(name: string, max: number): number {
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1 || value > max) {
      throw refuse(`The field ${name} must be an integer from 1 to ${max}.`);
    }
    return value;
  }

  /** Lower-case hexadecimal of `byteLength` bytes. */
  hex(name: string, byteLength: number): Uint8Array {
    const value = this.#take(name);
    const bytes = typeof value === 'string' ? fromHex(value, byteLength) : undefined;
    if (bytes === undefined) throw refuse(`The field ${name} must be ${byteLength * 2} lower-case hexadecimal digits.`);
    return bytes;
  }

  /** Canonical base64 of at most `bytesMax` bytes. */
  base64(name: string, bytesMax: number): Uint8Array {
    const text = this.text(name, Math.ceil(bytesMax / 3) * 4);
    const bytes = Buffer.from(text, 'base64');
    if (bytes.byteLength > bytesMax || bytes.toString('base64') !== text) {
      throw refuse(`The field ${name} must be base64 of at most ${bytesMax} bytes.`);
    }
    return new Uint8Array(bytes);
  }

  /** Refuses fields that nobody asked for. */
  end(): void {
    if (this.#fields.size > 0) throw refuse('The body has a field that this version does not know.');
  }
}

/** A decimal integer in a path or query, or undefined when the text is not one from `min` to `max`. */
export function parseInteger(text: string, min: number, max: number): number | undefined {
  if (!/^(0|[1-9]\d{0,15})$/.test(text)) return undefined;
  const value = Number(text);
  return value >= min && value <= max ? value : undefined;
}
