// Starts the double with Node’s compile cache on, which must happen before the rest is loaded: a call then takes a third of the time.
import { enableCompileCache } from 'node:module';

enableCompileCache();
const { main } = await import('./main.ts');
process.exitCode = await main();
