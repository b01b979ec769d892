// From options to the configuration of a YunoHost machine, and to its `yunohost` command.
import { FallbackError } from '../errors/fallback-error.ts';
import type { HostPaths } from '../yunohost/command/host-paths.ts';
import type { YunohostCommand } from '../yunohost/command/yunohost-command.ts';
import type { Configuration } from '../yunohost/configuration/schema.ts';
import type { Delivery } from '../yunohost/report/deliver-report.ts';
import type { Teller } from '../yunohost/report/tell-once.ts';
import { type Invocation, type OptionSpec, textOption } from './command-spec.ts';
import { absolutePath, stateOption, uploadLimitOption } from './shared-options.ts';
import type { World } from './world.ts';

export const configOption = textOption('--config <file>', 'the configuration of this server (docs/CONFIGURATION.md)', {
  variable: 'FALLBACK_CONFIG',
  absent: '/etc/fallback/config.toml',
  completion: 'file',
});

/** The machine's paths: under another root only for tests, by FALLBACK_HOST_ROOT. */
export async function hostPaths({ environment }: World): Promise<HostPaths> {
  const { HostPaths } = await import('../yunohost/command/host-paths.ts');
  return new HostPaths(environment['FALLBACK_HOST_ROOT'] ?? '/');
}

export async function configurationPath(invocation: Invocation): Promise<string> {
  const given = invocation.get(configOption);
  return given === undefined
    ? (await hostPaths(invocation.world)).configuration
    : absolutePath(invocation.world, given);
}

/** Whether a configuration was given, or lies in its place. */
export async function hasConfiguration(invocation: Invocation): Promise<boolean> {
  if (invocation.get(configOption) !== undefined) return true;
  const { world } = invocation;
  // Who may not look into /etc/fallback has none there.
  const facts = await world.fs.facts(await configurationPath(invocation)).catch(() => undefined);
  return facts !== undefined;
}

/** The store's folder of a fallback server's configuration; undefined without one. @throws CONFIG_INVALID. */
export async function configuredStore(invocation: Invocation): Promise<string | undefined> {
  if (!(await hasConfiguration(invocation))) return undefined;
  const { server, store } = await openConfiguration(invocation);
  return server.role === 'fallback' && store.folder !== '' ? store.folder : undefined;
}

/** @throws USAGE when there is none, CONFIG_INVALID with the line. */
export async function openConfiguration(invocation: Invocation): Promise<Configuration> {
  const path = await configurationPath(invocation);
  const { readConfiguration } = await import('../yunohost/configuration/read-configuration.ts');
  try {
    return await readConfiguration(path);
  } catch (error) {
    if (!(error instanceof FallbackError) || error.code !== 'NOT_FOUND') throw error;
    throw new FallbackError('USAGE', `There is no configuration ${path}.`, {
      cause: error,
      hint: 'Make one: fallback setup',
    });
  }
}

/** @throws USAGE for any user but root. */
export async function openYunohost({ world }: Invocation, configuration: Configuration): Promise<YunohostCommand> {
  const paths = await hostPaths(world);
  if (world.userId !== 0 && paths.root === '/') {
    throw new FallbackError('USAGE', 'YunoHost’s commands need root. Nothing was changed.', {
      hint: 'Type the same command with sudo in front.',
    });
  }
  const { YunohostCommand, yunohostProgram } = await import('../yunohost/command/yunohost-command.ts');
  return new YunohostCommand({
    program: world.environment['FALLBACK_YUNOHOST'] ?? yunohostProgram,
    paths,
    environment: world.environment,
    lockTimeoutSeconds: Math.ceil(configuration.yunohost.lockTimeout / 1000),
  });
}

/** The same invocation with the configuration's values where the command line says nothing. */
export function withConfiguration(invocation: Invocation, configuration: Configuration): Invocation {
  const { limitUploadKib } = configuration.push;
  const values = new Map<OptionSpec<unknown>, unknown>([[stateOption, configuration.store.state]]);
  if (limitUploadKib > 0) values.set(uploadLimitOption, limitUploadKib);
  return {
    ...invocation,
    get: <Value>(option: OptionSpec<Value>): Value | undefined =>
      invocation.get(option) ?? (values.get(option) as Value | undefined),
  };
}

/** Where reports go. */
export function deliveryOf({ world }: Invocation, configuration: Configuration, stateFolder: string): Delivery {
  return {
    configuration,
    stateFolder,
    fs: world.fs,
    environment: world.environment,
    randomHex: () => Buffer.from(world.randomBytes(8)).toString('hex'),
  };
}

/** Who tells what keeps a timer's command from its work. @param subject of its reports. */
export function tellerOf(invocation: Invocation, delivery: Delivery, subject: string): Teller {
  const { world, output, signal } = invocation;
  return {
    subject,
    delivery,
    hostName: world.hostName,
    nowMs: () => world.nowMs(),
    signal,
    onUndelivered: (failure) => output.warn(failure),
  };
}
