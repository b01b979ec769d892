// Ctrl-C, SIGTERM, SIGHUP: the first asks the command to end cleanly, the second ends the process.
import { FallbackError } from '../errors/fallback-error.ts';
import type { Output } from './output.ts';
import type { World } from './world.ts';

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interrupts {
  /** Aborts with an INTERRUPTED error. */
  readonly signal: AbortSignal;
  /** Listens no more. */
  end(): void;
}

/** Listens for signals until `end`. @param isOwn the command listens itself: then nothing is done here. */
export function watchInterrupts(world: World, output: Output, isOwn: boolean): Interrupts {
  const controller = new AbortController();
  if (isOwn) return { signal: controller.signal, end: () => undefined };
  const listeners = signals.map((name) => {
    const onSignal = (): void => {
      if (controller.signal.aborted) {
        world.exit(1);
        return;
      }
      output.note(`fallback: ${name === 'SIGINT' ? 'Ctrl-C' : name}: ending cleanly; once more ends it at once.`);
      controller.abort(new FallbackError('INTERRUPTED', 'The run was interrupted. What was finished before is kept.'));
    };
    world.signals.on(name, onSignal);
    return { name, onSignal };
  });
  return {
    signal: controller.signal,
    end: () => {
      for (const { name, onSignal } of listeners) world.signals.off(name, onSignal);
    },
  };
}
