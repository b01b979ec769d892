// Which services run: what `service`, app scripts and regen-conf change.
import type { Server } from './server.ts';

const stateFile = '/.double/services.json';

/** `running` or `dead`. */
export type ServiceState = 'running' | 'dead';

function states(server: Server): Record<string, ServiceState> {
  return JSON.parse(server.readOr(stateFile, '{}')) as Record<string, ServiceState>;
}

/** Every service runs until it is stopped. */
export const stateOfService = (server: Server, name: string): ServiceState => states(server)[name] ?? 'running';

export function setServiceState(server: Server, name: string, state: ServiceState): void {
  if (stateOfService(server, name) !== state)
    server.write(stateFile, JSON.stringify({ ...states(server), [name]: state }));
}
