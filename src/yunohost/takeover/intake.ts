// Stops what takes in new things while a server gives back: what is written between the backup and the removal would be in
// no backup. YunoHost itself starts some of it again: every `app remove` reloads nginx, and that starts a stopped one
// (`ynh_systemctl`); regen-conf restarts postfix and dovecot when their files change.
import { isFallbackError } from '../../errors/fallback-error.ts';
import type { Journal } from './journal.ts';
import { longCall, shortCall, type TakeoverHost, tell, warn } from './takeover-host.ts';

/** Web and mail. */
const intakeServices = ['nginx', 'postfix', 'dovecot'];

const factName = 'stopped';

/** Services that were stopped and not started again. */
export const stoppedServices = (journal: Journal): readonly string[] => journal.fact<string[]>(factName) ?? [];

/** A service that YunoHost does not know does not run. */
async function isRunning(host: TakeoverHost, name: string): Promise<boolean> {
  try {
    return (await host.yunohost.server.serviceStatus(name, shortCall(host))) === 'running';
  } catch (error) {
    if (isFallbackError(error, 'YUNOHOST_FAILED')) return false;
    throw error;
  }
}

async function runningOf(host: TakeoverHost, names: readonly string[]): Promise<string[]> {
  const running: string[] = [];
  for (const name of names) if (await isRunning(host, name)) running.push(name);
  return running;
}

/** What was stopped and runs all the same: after a reboot, say. @throws as YunohostCommand. */
export const runningAgain = (host: TakeoverHost, journal: Journal): Promise<string[]> =>
  runningOf(host, stoppedServices(journal));

/** Stops web and mail as far as they run, and keeps in the journal what must be started again. @throws as YunohostCommand. */
export async function stopIntake(host: TakeoverHost, journal: Journal): Promise<void> {
  const running = await runningOf(host, intakeServices);
  if (running.length === 0) return;
  await journal.record({ facts: { [factName]: [...new Set([...stoppedServices(journal), ...running])] } });
  tell(host, `stopping ${running.join(', ')}: nothing new may be written from here on`);
  await host.yunohost.server.driveService('stop', running, longCall(host));
}

/** Stops again what was stopped before: a reboot or YunoHost may have started it. @throws as YunohostCommand. */
export async function holdIntake(host: TakeoverHost, journal: Journal): Promise<void> {
  const stopped = stoppedServices(journal);
  if (stopped.length > 0) await host.yunohost.server.driveService('stop', stopped, longCall(host));
}

/** Starts what was stopped, or only those of it that are named; an interrupted run does so as well. @throws as YunohostCommand. */
export async function startIntake(
  host: TakeoverHost,
  journal: Journal,
  wanted: readonly string[] = intakeServices,
): Promise<void> {
  const stopped = stoppedServices(journal);
  const starting = stopped.filter((name) => wanted.includes(name));
  if (starting.length === 0) return;
  tell(host, `starting ${starting.join(', ')}`);
  await host.yunohost.server.driveService('start', starting, { ...longCall(host), signal: undefined });
  await journal.record({ facts: { [factName]: stopped.filter((name) => !starting.includes(name)) } });
}

/** Starts what was stopped after something went wrong: a service that does not start must not hide the error. */
export async function startIntakeAgain(host: TakeoverHost, journal: Journal): Promise<void> {
  try {
    await startIntake(host, journal);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    warn(host, `${stoppedServices(journal).join(', ')} could not be started again: ${reason}`);
  }
}
