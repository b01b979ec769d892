// From a request line to a route: exact, without decoding, so that there is one spelling of each path.
import { FallbackError } from '../errors/fallback-error.ts';
import { limits } from '../format/limits.ts';
import { RequestRefused } from './problem.ts';
import { parseInteger } from './request-fields.ts';
import type { PathParameters, Route } from './route.ts';

const parameterRules: Readonly<Record<string, (text: string) => boolean>> = {
  repository: (text) => /^[0-9a-f]{32}$/.test(text),
  lease: (text) => /^[0-9a-f]{32}$/.test(text),
  number: (text) => parseInteger(text, 1, limits.packNumberMax) !== undefined,
};

export interface MatchedRoute {
  readonly route: Route;
  readonly params: PathParameters;
  readonly query: ReadonlyMap<string, string>;
}

function matchPath(template: string, segments: readonly string[]): PathParameters | undefined {
  const wanted = template.split('/');
  if (wanted.length !== segments.length) return undefined;
  const params: Record<string, string> = {};
  for (const [index, part] of wanted.entries()) {
    const segment = segments[index] ?? '';
    const name = /^\{(\w+)\}$/.exec(part)?.[1];
    if (name === undefined) {
      if (part !== segment) return undefined;
    } else {
      if (parameterRules[name]?.(segment) !== true) return undefined;
      params[name] = segment;
    }
  }
  return params;
}

function parseQuery(route: Route, text: string | undefined): Map<string, string> {
  const query = new Map<string, string>();
  if (text === undefined || text === '') return query;
  for (const pair of text.split('&')) {
    const [name = '', value = ''] = pair.split('=');
    const known = route.query.includes(name) && !query.has(name);
    if (!known || parseInteger(value, 0, Number.MAX_SAFE_INTEGER) === undefined) {
      throw new RequestRefused(400, 'REQUEST_INVALID', 'The query has a parameter that this version does not know.');
    }
    query.set(name, value);
  }
  return query;
}

/**
 * Finds the route of a request target.
 * @throws NOT_FOUND for a path that no route has; REQUEST_INVALID with 405 for another method, 414 for a target beyond the limit.
 */
export function matchRoute(
  routes: readonly Route[],
  method: string,
  target: string,
  targetCharactersMax: number,
): MatchedRoute {
  if (target.length > targetCharactersMax) {
    throw new RequestRefused(414, 'REQUEST_INVALID', 'The request’s path is too long.');
  }
  const mark = target.indexOf('?');
  const segments = (mark < 0 ? target : target.slice(0, mark)).split('/');
  const allowed: string[] = [];
  for (const route of routes) {
    const params = matchPath(route.path, segments);
    if (params === undefined) continue;
    if (route.method !== method) {
      allowed.push(route.method);
      continue;
    }
    return { route, params, query: parseQuery(route, mark < 0 ? undefined : target.slice(mark + 1)) };
  }
  if (allowed.length > 0) {
    const allow = allowed.join(', ');
    throw new RequestRefused(405, 'REQUEST_INVALID', `This path allows ${allow} only.`, { allow });
  }
  throw new FallbackError('NOT_FOUND', 'There is nothing at this path.');
}
