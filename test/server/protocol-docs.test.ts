// docs/openapi.json and docs/PROTOCOL.md say what the server does: compared with its table of routes, both ways.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { statusOfCode } from '../../src/server/problem.ts';
import type { Route } from '../../src/server/route.ts';
import { commonCodes } from '../../src/server/route.ts';
import { codesOf, routes } from '../../src/server/routes.ts';

interface Operation {
  readonly summary: string;
  readonly security: readonly Record<string, unknown>[];
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: { readonly 'x-bytes-max': number; readonly content: Record<string, unknown> };
  readonly responses: Record<string, unknown>;
  readonly 'x-codes': readonly string[];
}

interface OpenApi {
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly schemas: Record<string, { readonly properties?: { readonly code?: { readonly enum: string[] } } }>;
    readonly securitySchemes: Record<string, unknown>;
  };
}

const read = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');
const openApi = JSON.parse(read('openapi.json')) as OpenApi;
const protocol = read('PROTOCOL.md');

const named = (operation: Operation, place: string): string[] =>
  operation.parameters.filter((parameter) => parameter.in === place).map(({ name }) => name);

for (const route of routes) {
  test(`openapi.json: ${route.method} ${route.path}`, () => {
    const operation = openApi.paths[route.path]?.[route.method.toLowerCase()];
    assert.ok(operation !== undefined);
    assert.equal(operation.summary, route.summary);
    assert.deepEqual(operation.security, route.scope === 'none' ? [] : [{ [route.scope]: [] }]);
    assert.deepEqual(
      named(operation, 'path'),
      [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
    );
    assert.deepEqual(named(operation, 'query'), route.query);
    assert.equal(named(operation, 'header').includes('Content-Digest'), route.body !== undefined);
    assert.equal(named(operation, 'header').includes('Range'), route.ranges);
    assert.equal(operation.requestBody?.['x-bytes-max'], route.body?.bytesMax);
    assert.deepEqual(
      Object.keys(operation.requestBody?.content ?? {}),
      route.body === undefined ? [] : [route.body.type],
    );
    assert.ok(route.success in operation.responses && 'default' in operation.responses);
    assert.equal('206' in operation.responses, route.ranges);
    assert.deepEqual(operation['x-codes'], codesOf(route));
  });
}

test('openapi.json has no route, scope or code that the server does not have', () => {
  const documented = Object.entries(openApi.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  assert.deepEqual(documented.sort(), routes.map((route) => `${route.method} ${route.path}`).sort());
  const scopes = new Set(routes.map((route) => route.scope).filter((scope) => scope !== 'none'));
  assert.deepEqual(Object.keys(openApi.components.securitySchemes).sort(), [...scopes].sort());
  const codes = openApi.components.schemas['Problem']?.properties?.code?.enum;
  assert.deepEqual(codes, Object.keys(statusOfCode).sort());
});

test('openapi.json refers to nothing that is not there', () => {
  for (const [, name] of JSON.stringify(openApi).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    assert.ok(openApi.components.schemas[name ?? ''] !== undefined, name);
  }
});

const size = (bytes: number): string => (bytes % 2 ** 20 === 0 ? `${bytes / 2 ** 20} MiB` : `${bytes / 1024} KiB`);
const codeList = (codes: readonly string[]): string => codes.map((code) => `\`${code}\``).join(' ');

function rowOf(route: Route): string {
  const body = route.body === undefined ? '-' : size(route.body.bytesMax);
  const codes = route.codes.length === 0 ? '-' : codeList(route.codes);
  return `| \`${route.method}\` | \`${route.path}\` | ${route.scope} | ${body} | ${route.success} | ${codes} |`;
}

test('PROTOCOL.md: the table of routes is the server’s', () => {
  const rows = protocol.split('\n').filter((line) => /^\| `(GET|PUT|POST|DELETE)`/.test(line));
  assert.deepEqual(rows, routes.map(rowOf));
  assert.ok(protocol.includes(commonCodes.map((code) => `\`${code}\``).join(', ')));
});

test('PROTOCOL.md: the table of statuses is the server’s', () => {
  const byStatus = Map.groupBy(Object.entries(statusOfCode), ([, status]) => status);
  const rows = [...byStatus].map(([status, entries]) => `| ${status} | ${codeList(entries.map(([code]) => code))} |`);
  assert.deepEqual(
    protocol.split('\n').filter((line) => /^\| \d{3} \| `/.test(line)),
    rows,
  );
});
