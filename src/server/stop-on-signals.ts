// From a signal to a clean stop: the first lets running uploads finish, the second cuts them.
import type { RunningServer } from './start-server.ts';

interface SignalSource {
  on(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
  off(signal: 'SIGTERM' | 'SIGINT', listener: () => void): unknown;
}

/** Resolves once the server has stopped because of SIGTERM or SIGINT. @param source is `process`. */
export async function stopOnSignals(server: RunningServer, source: SignalSource): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onSignal = (): void => {
      server.stop().then(() => {
        source.off('SIGTERM', onSignal);
        source.off('SIGINT', onSignal);
        resolve();
      }, reject);
    };
    source.on('SIGTERM', onSignal);
    source.on('SIGINT', onSignal);
  });
}
