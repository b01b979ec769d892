// The whole protocol as one table. docs/openapi.json and docs/PROTOCOL.md list the same routes, and a test compares the three.
import { openRoutes } from './open-routes.ts';
import type { ServerCode } from './problem.ts';
import { repositoryRoutes } from './repository-routes.ts';
import { commonCodes, type Route } from './route.ts';

export const routes: readonly Route[] = [...openRoutes, ...repositoryRoutes];

/** Every code that a route may answer with, sorted. */
export function codesOf(route: Route): readonly ServerCode[] {
  const token: readonly ServerCode[] = route.scope === 'none' ? [] : ['UNAUTHORIZED'];
  const scope: readonly ServerCode[] = route.scope === 'push' || route.scope === 'takeover' ? ['FORBIDDEN'] : [];
  return [...new Set([...commonCodes, ...token, ...scope, ...route.codes])].sort();
}
