// The two parts of undici that this client needs. Its index would load fetch, web sockets, caches and mocks too: 70 ms of CPU at every start.
import Module, { createRequire } from 'node:module';
import type { Dispatcher, Pool as UndiciPool } from 'undici';

const require = createRequire(import.meta.url);

// The pool loads what speaks HTTP/2, and with it node:http2, 20 ms at every start. Nothing here asks for HTTP/2 (`allowH2`).
const unused = require.resolve('undici/lib/dispatcher/client-h2.js');
if (require.cache[unused] === undefined) {
  const stub = new Module(unused);
  stub.exports = (): never => {
    throw new Error('this client speaks HTTP/1.1 only');
  };
  stub.loaded = true;
  require.cache[unused] = stub;
}

/** undici's pool of connections to one server. */
export const Pool = require('undici/lib/dispatcher/pool.js') as typeof UndiciPool;

/** undici's request, a method of the dispatcher that carries it. */
export const request = require('undici/lib/api/api-request.js') as (
  this: Dispatcher,
  options: Dispatcher.RequestOptions,
) => Promise<Dispatcher.ResponseData>;
