// Free space as a number: ROOT/.double/free-space holds what would be free if /home/yunohost.backup were empty.
import { existsSync } from 'node:fs';
import { sizeOfTree } from './files.ts';
import { Server } from './server.ts';

const file = '/.double/free-space';
/** Without a number in the file there are 100 GB. */
const roomBytesDefault = 100_000_000_000;

/** Free bytes for a server now: the number less what archives and work folders take. */
export function freeSpace(server: Server): number {
  const room = Number(server.readOr(file, String(roomBytesDefault)));
  const used = server.path('/home/yunohost.backup');
  return room - (existsSync(used) ? sizeOfTree(used) : 0);
}

/** The same for a product’s own question: hand it in where the product asks for free space. */
export function freeBytes(root: string): number {
  return freeSpace(new Server({ root }));
}

/** Sets how much room there is, in bytes; undefined gives 100 GB again. */
export function setRoom(root: string, bytes: number | undefined): void {
  new Server({ root }).write(file, String(bytes ?? roomBytesDefault));
}
