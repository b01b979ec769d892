// fallback completion SHELL: what a shell offers after Tab.
import { FallbackError } from '../../errors/fallback-error.ts';
import type { CommandBody } from '../command-spec.ts';

const shells = ['bash', 'zsh', 'fish'] as const;

export const completionCommand: CommandBody = {
  description: ['Load it in the shell’s start file, or put it where the shell looks for completions.'],
  arguments: [{ syntax: '<shell>', description: 'bash, zsh or fish', completion: shells }],
  examples: [
    ['fallback completion bash > /etc/bash_completion.d/fallback', 'for all users of bash'],
    ['fallback completion zsh > /usr/local/share/zsh/site-functions/_fallback', 'for all users of zsh'],
    ['fallback completion fish > ~/.config/fish/completions/fallback.fish', 'for one user of fish'],
  ],
  run: async ({ args, output, commands }) => {
    const shell = shells.find((one) => one === args[0]);
    if (shell === undefined) {
      throw new FallbackError('USAGE', `There is no completion for ${JSON.stringify(args[0])}.`, {
        hint: 'Give bash, zsh or fish.',
      });
    }
    const { makeCompletion } = await import('../completion/make-completion.ts');
    output.raw(makeCompletion(shell, await commands()));
    return undefined;
  },
};
