// What a client's start costs hangs on what undici brings along.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { test } from 'node:test';

test('neither fetch nor HTTP/2 is loaded with the client', () => {
  const file = resolve(import.meta.dirname, '../../../src/sync/http/http-client.ts');
  const script = `await import(${JSON.stringify(file)}); console.log(process.moduleLoadList.join('\\n'));`;
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', script];
  const loaded = execFileSync(process.execPath, args, { encoding: 'utf8' }).split('\n');
  assert.ok(loaded.includes('NativeModule tls'));
  assert.deepEqual(
    loaded.filter((name) => /http2|undici|webstreams/.test(name)),
    [],
  );
});
