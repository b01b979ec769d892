// What a route is: data, so that the OpenAPI file and PROTOCOL.md can be held against it.
import type { IncomingHttpHeaders } from 'node:http';
import type { RepositoryId } from '../format/ids.ts';
import type { BodyRule, IncomingBody } from './incoming-body.ts';
import type { ServerCode } from './problem.ts';
import type { Reply } from './reply.ts';
import type { RepositoryHost, Scope, ServedRepository } from './repository-host.ts';
import type { RequestFields } from './request-fields.ts';
import type { ServerLimits } from './server-limits.ts';

/** The numbers and ids of a path, checked against their rules. */
export interface PathParameters {
  readonly repository?: string;
  readonly lease?: string;
  readonly number?: string;
}

/** A request that was let in. */
export interface Exchange {
  readonly host: RepositoryHost;
  readonly limits: ServerLimits;
  readonly params: PathParameters;
  readonly query: ReadonlyMap<string, string>;
  readonly headers: IncomingHttpHeaders;
  /** The bearer token's bytes; empty on a route that asks for none. */
  readonly token: Uint8Array;
  readonly body: IncomingBody;
  /** The body as JSON. @throws REQUEST_INVALID, DIGEST_MISMATCH. */
  json(): Promise<RequestFields>;
}

export interface RepositoryExchange extends Exchange {
  readonly repositoryId: RepositoryId;
  readonly repository: ServedRepository;
}

interface RouteBase {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** `{repository}` is 32 hexadecimal digits, `{lease}` too, `{number}` a decimal number. */
  readonly path: string;
  readonly summary: string;
  /** Query parameters, all optional. */
  readonly query: readonly string[];
  /** Undefined: a body is refused. */
  readonly body: BodyRule | undefined;
  readonly success: 200 | 201 | 204;
  /** Answers part of the object when a Range asks for it. */
  readonly ranges: boolean;
  /** Codes beyond those that every route can answer with (commonCodes). */
  readonly codes: readonly ServerCode[];
}

/** A route outside a repository: open to all, or for one token that is good for nothing else. */
export interface OpenRoute extends RouteBase {
  readonly scope: 'none' | 'pairing' | 'recovery';
  handle(exchange: Exchange): Promise<Reply>;
}

/** A route of one repository. */
export interface RepositoryRoute extends RouteBase {
  readonly scope: Scope;
  handle(exchange: RepositoryExchange): Promise<Reply>;
}

export type Route = OpenRoute | RepositoryRoute;

/** What any route may answer with. */
export const commonCodes: readonly ServerCode[] = [
  'REQUEST_INVALID',
  'NOT_FOUND',
  'TIMEOUT',
  'LIMIT_EXCEEDED',
  'RATE_LIMITED',
  'SERVER_ERROR',
  'SERVER_FULL',
  'STORE_LOCKED',
];
