// The double of `yunohost`: reads the command line, takes the lock, runs one command, prints what the genuine one prints.
import { parseGlobal } from './arguments.ts';
import { noteCall } from './call-log.ts';
import type { Command } from './command.ts';
import { findCommand, isAllowedBare } from './commands.ts';
import { asPython, Interrupted, PythonCrash, UsageError, YunohostError } from './errors.ts';
import { Faults } from './faults.ts';
import { takeLock } from './lock.ts';
import { openLog, plainText, prettyText, pythonJson, type Value, writeAll } from './output.ts';
import { Server } from './server.ts';

function usage(error: UsageError): number {
  writeAll(2, `usage: yunohost [-h] {user,domain,app,backup,settings,service,firewall,dyndns,tools,hook,log} ...\n`);
  writeAll(2, `yunohost: error: ${error.message}\n`);
  return 2;
}

function traceback(crash: Error): number {
  const line = crash instanceof PythonCrash ? crash.line : `${crash.name}: ${crash.message}`;
  writeAll(2, 'Traceback (most recent call last):\n  File "/usr/bin/yunohost", line 98, in <module>\n    main()\n');
  writeAll(2, `${line}\n`);
  if (process.env['YUNOHOST_DOUBLE_STACK'] === '1') writeAll(2, `${crash.stack ?? ''}\n`);
  return 1;
}

function render(result: Value | undefined, outputAs: string | undefined): string {
  if (result === undefined || outputAs === 'none') return '';
  if (outputAs === 'json') return `${pythonJson(result)}\n`;
  return outputAs === 'plain' ? plainText(result) : prettyText(result);
}

async function runCommand(root: string, argv: readonly string[]): Promise<number> {
  const options = parseGlobal(argv);
  const faults = new Faults(root, options.words.join(' '));
  const clock = process.env['YUNOHOST_DOUBLE_NOW'];
  const log = openLog({
    quiet: options.quiet,
    debug: options.debug,
    startedMs: Date.now(),
    file: `${root}/var/log/yunohost/yunohost-cli.log`,
    prefix: process.env['YUNOHOST_DOUBLE_PREFIX'] === 'none' ? 'none' : 'contract',
  });
  const nowMs = clock === undefined ? Date.now : () => Date.parse(clock);
  const server = new Server({ root, log, strike: faults.strike, nowMs });
  if (!server.installed && !isAllowedBare(options.words)) {
    writeAll(1, "Error: YunoHost is not correctly installed. Please run 'yunohost tools postinstall'\n");
    return 1;
  }
  try {
    if (options.words.length === 0) throw new YunohostError('Invalid usage, pass --help to see help');
    const { command, given } = findCommand(options.words);
    faults.strike('start');
    const result = await underLock(server, command, options.timeoutSeconds, async () => {
      faults.strike('locked');
      const value = await command.run(server, given);
      faults.strike('done');
      return value;
    });
    writeAll(1, faults.result(render(result, options.outputAs)));
    return faults.exitCode(0);
  } catch (error) {
    if (!(error instanceof YunohostError)) throw error;
    log('ERROR', error.message);
    // A hook may go on without us after Ctrl-C; its pipes must not hold this process.
    if (error instanceof Interrupted) setImmediate(() => process.exit(1));
    return faults.exitCode(1);
  }
}

async function underLock<Result>(
  server: Server,
  command: Command,
  timeoutSeconds: number | undefined,
  run: () => Promise<Result>,
): Promise<Result> {
  if (!command.locks) return await run();
  const release = await takeLock(server, timeoutSeconds);
  try {
    return await run();
  } finally {
    release();
  }
}

/** The whole program; its result is the exit code. */
export async function main(): Promise<number> {
  const root = process.env['YUNOHOST_DOUBLE_ROOT'];
  if (root === undefined || root === '' || root === '/') {
    writeAll(2, 'The double of yunohost needs YUNOHOST_DOUBLE_ROOT, a folder that is not /.\n');
    return 70;
  }
  const noteEnd = noteCall(root, process.argv.slice(2));
  let code: number;
  try {
    code = await runCommand(root, process.argv.slice(2));
  } catch (error) {
    code = error instanceof UsageError ? usage(error) : traceback(asPython(error));
  }
  noteEnd(code);
  return code;
}
