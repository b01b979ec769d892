// Options of `fallback push` that only matter without archives: apart from what they need, so that help loads nothing.
import { flagOption } from '../command-spec.ts';

export const scheduledOption = flagOption(
  '--scheduled',
  'without archives: the timer runs it, so it waits for push.window of the configuration',
);
