// Types of the files of undici that http-client.ts loads one by one; undici declares them for its index only.

declare module 'undici/lib/dispatcher/pool.js' {
  import type { Pool } from 'undici';

  const poolClass: typeof Pool;
  export default poolClass;
}

declare module 'undici/lib/api/api-request.js' {
  import type { Dispatcher } from 'undici';

  /** What undici's index makes the method `request` of every dispatcher. */
  function request(this: Dispatcher, options: Dispatcher.RequestOptions): Promise<Dispatcher.ResponseData>;
  export default request;
}
