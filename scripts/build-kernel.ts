// Compiles src/chunker/kernel/cut.ts with the pinned AssemblyScript compiler and writes src/chunker/kernel-wasm.ts.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Compiles the kernel; the same source and compiler give the same bytes. */
export function compileKernel(): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), 'kernel-'));
  try {
    const outFile = join(folder, 'kernel.wasm');
    const compiler = join(root, 'node_modules/assemblyscript/bin/asc.js');
    const options = [
      ...['-O3', '--noAssert', '--runtime', 'stub', '--zeroFilledMemory', '--enable', 'threads'],
      ...['--importMemory', '--sharedMemory', '--initialMemory', '1', '--maximumMemory', '65536'],
    ];
    const args = [compiler, 'src/chunker/kernel/cut.ts', '-o', outFile, ...options];
    const run = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    if (run.status !== 0) throw new Error(`The kernel does not compile:\n${run.stdout}${run.stderr}`);
    return new Uint8Array(readFileSync(outFile));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The TypeScript module that carries the compiled kernel. */
export function kernelModule(wasm: Uint8Array): string {
  const lines = Buffer.from(wasm)
    .toString('base64')
    .match(/.{1,100}/g);
  return `// Written by \`npm run kernel\` from kernel/cut.ts: do not edit. A test compiles it anew and compares.

/** The compiled kernel as base64, ${wasm.byteLength} bytes of WebAssembly. */
export const kernelWasmBase64 = [
${lines?.map((line) => `  '${line}',`).join('\n')}
].join('');
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wasm = compileKernel();
  writeFileSync(join(root, 'src/chunker/kernel-wasm.ts'), kernelModule(wasm));
  process.stdout.write(`src/chunker/kernel-wasm.ts: ${wasm.byteLength} bytes of WebAssembly\n`);
}
