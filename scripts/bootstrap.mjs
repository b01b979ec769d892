// Runs on any Node.js from 18: installs the locked packages when they are missing or stale, then starts what was asked
// for with Node.js 24. No install script runs; nothing is fetched but packages from the npm registry.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stamp = join(root, 'node_modules', '.fallback-installed');

const waitBuffer = new Int32Array(new SharedArrayBuffer(4));

/** Two installs at once would undo each other: the second waits for the first. A lock older than ten minutes is a dead one. */
function takeInstallLock(folder) {
  for (;;) {
    try {
      mkdirSync(folder);
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const since = statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      if (Date.now() - since > 600_000) rmdirSync(folder);
      Atomics.wait(waitBuffer, 0, 0, 300);
    }
  }
}

function install() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const isInstalled = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === lock;
  if (isInstalled()) return;
  const folder = join(root, '.installing');
  takeInstallLock(folder);
  try {
    if (isInstalled()) return;
    process.stderr.write('fallback: installing packages (npm ci) …\n');
    const command = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    const npm = spawnSync('npm', command, { cwd: root, stdio: ['ignore', 2, 2] });
    if (npm.status !== 0) throw new Error('npm ci failed; is the npm registry reachable? Nothing else was changed.');
    writeFileSync(stamp, lock);
  } finally {
    rmdirSync(folder);
  }
}

function findNode() {
  const own = join(root, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
  if (existsSync(own)) return own;
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath;
  process.stderr.write(
    `fallback: needs Node.js 24 or newer; this is ${process.version} on ${process.platform}-${process.arch}, and the npm ` +
      'registry has no Node.js package for it.\n  Install Node.js 24, then run the same command again.\n',
  );
  process.exit(1);
}

try {
  install();
} catch (error) {
  process.stderr.write(`fallback: ${error.message}\n`);
  process.exit(1);
}
const [script, ...args] = process.argv.slice(2);
const child = spawn(findNode(), ['--disable-warning=ExperimentalWarning', resolve(root, script), ...args], {
  cwd: root,
  stdio: 'inherit',
  env: { ...process.env, NODE_NO_WARNINGS: undefined },
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => {
  if (signal) process.exitCode = 1;
  else process.exitCode = code ?? 1;
});
