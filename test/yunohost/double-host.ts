// The product's way to the double: a `YunohostCommand` and paths under a seeded server's root.
import { HostPaths } from '../../src/yunohost/command/host-paths.ts';
import { YunohostCommand } from '../../src/yunohost/command/yunohost-command.ts';
import { yunohostDouble } from './double/run-yunohost.ts';

/** `yunohost` of the double under `root`. */
export function doubleCommand(
  root: string,
  {
    lockTimeoutSeconds = 5,
    environment = {},
  }: { lockTimeoutSeconds?: number; environment?: Record<string, string> } = {},
): YunohostCommand {
  return new YunohostCommand({
    program: yunohostDouble,
    paths: new HostPaths(root),
    environment: { ...process.env, YUNOHOST_DOUBLE_ROOT: root, ...environment },
    lockTimeoutSeconds,
  });
}
