// What is refused, what looks incompressible, and cutting in several threads over one pool.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { ChunkerParameters } from '../../src/chunker/chunker.ts';
import { createChunkerPool, poolBytesMax } from '../../src/chunker/chunker-pool.ts';
import { createChunker } from '../../src/chunker/create-chunker.ts';
import { isGzip } from '../../src/chunker/detect-gzip.ts';
import { looksEdited } from '../../src/chunker/edited.ts';
import { looksIncompressible } from '../../src/chunker/incompressible.ts';
import { defaultChunkerParameters } from '../../src/chunker/parameters.ts';
import { randomBytesOf, smallParameters, testSeed, textBytesOf } from './samples.ts';

test('parameters, seeds and pools that cannot be are refused', () => {
  const tryOut = (changes: object, seed = testSeed, poolBytes = 2 ** 21) => {
    createChunker({ ...defaultChunkerParameters, ...changes } as ChunkerParameters, seed, { poolBytes });
  };
  tryOut({});
  const sizes = (minimumBytes: number, averageBytes: number, maximumBytes: number) => ({
    fine: { minimumBytes, averageBytes, maximumBytes },
  });
  const unsupported = { code: 'FORMAT_UNSUPPORTED' };
  const exceeded = { code: 'LIMIT_EXCEEDED' };
  for (const bad of [
    sizes(62, 256, 1024),
    sizes(65, 256, 1024),
    sizes(64, 128, 1024),
    sizes(64, 300, 1024),
    sizes(256, 256, 1024),
    sizes(64, 1024, 1024),
    sizes(64.5, 256, 1024),
    sizes(Number.NaN, 256, 1024),
    { engine: 'other' },
    { largeMemberBytesMin: 100 },
    { coarseMemberBytesMin: 100 },
    { largeMemberBytesMin: Number.NaN },
  ]) {
    assert.throws(() => tryOut(bad), unsupported, JSON.stringify(bad));
  }
  assert.throws(() => tryOut({}, new Uint8Array(31)), unsupported);
  assert.throws(() => tryOut(sizes(64, 256, 3 * 2 ** 20)), exceeded);
  assert.throws(() => tryOut({}, testSeed, 1000), exceeded);
  assert.throws(() => createChunkerPool(poolBytesMax + 1), exceeded);
  assert.throws(() => createChunkerPool(1000, 0), exceeded);
  const pool = createChunkerPool(2 ** 20, 2);
  assert.throws(() => createChunker(smallParameters, testSeed, { pool, lane: 2 }), exceeded);
  const chunker = createChunker(smallParameters, testSeed, { pool, lane: 1 });
  assert.throws(
    () => chunker.cutBytes(new Uint8Array(1), { minimumBytes: 1, averageBytes: 2, maximumBytes: 3 }),
    unsupported,
  );
});

test('what looks incompressible', () => {
  const padded = (first: Uint8Array | string, length = 4096) => {
    const bytes = textBytesOf(1, length);
    bytes.set(typeof first === 'string' ? Buffer.from(first, 'latin1') : first);
    return bytes;
  };
  const zip = (name: string) => padded(Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(26), Buffer.from(name)]));
  for (const magic of [
    '\xff\xd8\xff\xdb',
    '\x89PNG\r\n',
    'GIF89a',
    'RIFFxxxxWEBP',
    '\0\0\0\x20ftypisom',
    '\x1aE\xdf\xa3',
    'OggS',
    'fLaC',
    'ID3\x04',
    '\x1f\x8b\x08',
    '\xfd7zXZ\0',
    '(\xb5/\xfd',
    'BZh91AY&SY',
    "7z\xbc\xaf'\x1c",
    'Rar!\x1a\x07\x01',
  ]) {
    assert.ok(looksIncompressible(padded(magic)), magic);
  }
  assert.ok(looksIncompressible(zip('photos/1.jpg')));
  for (const name of ['mimetypeapplication/vnd.oasis', '[Content_Types].xml', 'word/document.xml']) {
    assert.ok(!looksIncompressible(zip(name)), name);
  }
  for (let number = 0; number < 200; number++) assert.ok(looksIncompressible(randomBytesOf(number, 4096)), `${number}`);
  const base64 = Buffer.from(Buffer.from(randomBytesOf(1, 4096)).toString('base64'));
  for (const bytes of [padded('RIFFxxxxWAVE'), textBytesOf(2, 4096), base64, new Uint8Array(4096), new Uint8Array(0)]) {
    assert.ok(!looksIncompressible(bytes));
  }
});

test('what looks edited all over', () => {
  const dumps = [
    '-- MySQL dump 10.13  Distrib 8.0.35, for Linux (x86_64)\n',
    '/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump 10.19-11.4.2-MariaDB\n',
    '--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n',
    '--\n-- PostgreSQL database cluster dump\n--\n',
    'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE a (b);\n',
    '-- phpMyAdmin SQL Dump\n-- version 5.2.1\n',
    'CREATE TABLE `posts` (\n',
    '\n\nINSERT INTO `posts` VALUES (1);\n',
    'COPY public.posts (id, body) FROM stdin;\n',
    'dn: dc=yunohost,dc=org\nobjectClass: top\n',
    'SQLite format 3\0\x10\0',
  ];
  for (const text of dumps) {
    assert.ok(looksEdited(Buffer.from(text, 'latin1')), text);
    assert.ok(looksEdited(Buffer.concat([Buffer.from(text, 'latin1'), textBytesOf(1, 8192)])), text);
  }
  const others = [
    '',
    '-',
    '- list\n- dump\n',
    '-- a comment in Lua\nlocal x = 1\n',
    '// INSERT INTO is written here\n',
    '/* CREATE TABLE */ int main() {}\n',
    'Return-Path: <a@example.org>\nSubject: dump\n\nINSERT INTO\n',
    'SQLite format 2\0',
    '#!/bin/sh\nmysqldump\n',
    `${'-'.repeat(600)}\nINSERT INTO a VALUES (1);\n`,
  ];
  for (const text of others) assert.ok(!looksEdited(Buffer.from(text, 'latin1')), text);
  for (let number = 0; number < 50; number++) assert.ok(!looksEdited(randomBytesOf(number, 4096)), `${number}`);
});

test('gzip is told by its magic and method', () => {
  assert.ok(isGzip(Uint8Array.of(0x1f, 0x8b, 8, 0)));
  for (const bytes of [[], [0x1f], [0x1f, 0x8b], [0x1f, 0x8b, 7], [0x1f, 0x8c, 8]]) {
    assert.ok(!isGzip(Uint8Array.from(bytes)));
  }
});

test('threads cut side by side in one pool, each in its lane', async () => {
  const half = 2 ** 22;
  const pool = createChunkerPool(3 * half, 3);
  const here = createChunker(defaultChunkerParameters, testSeed, { pool, lane: 0 });
  const cut = (startByte: number) => {
    const countMax = here.cutsMax(half);
    const cuts = { ends: new Uint32Array(countMax), kinds: new Uint8Array(countMax), count: 0 };
    here.startArchive().cut(startByte, half, true, cuts);
    return [...cuts.ends.subarray(0, cuts.count)];
  };
  for (const part of [0, 1, 2]) here.pool.set(textBytesOf(part, half), part * half);
  const source = `
    import { parentPort, workerData } from 'node:worker_threads';
    const { createChunker } = await import(workerData.module);
    const chunker = createChunker(workerData.parameters, workerData.seed, workerData.place);
    for (let round = 0; round < 20; round++) {
      const cuts = { ends: new Uint32Array(5000), kinds: new Uint8Array(5000), count: 0 };
      chunker.startArchive().cut(workerData.startByte, ${half}, true, cuts);
      parentPort.postMessage([...cuts.ends.subarray(0, cuts.count)]);
    }`;
  const results = [1, 2].map((lane) => {
    const workerData = {
      module: new URL('../../src/chunker/create-chunker.ts', import.meta.url).href,
      parameters: defaultChunkerParameters,
      seed: testSeed,
      place: { pool, lane },
      startByte: lane * half,
    };
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData });
    const all: number[][] = [];
    worker.on('message', (ends: number[]) => all.push(ends));
    return new Promise<number[][]>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', () => resolve(all));
    });
  });
  const mine = Array.from({ length: 20 }, () => cut(0));
  const theirs = await Promise.all(results);
  for (const ends of mine) assert.deepEqual(ends, mine[0]);
  for (const [index, rounds] of theirs.entries()) {
    assert.equal(rounds.length, 20);
    for (const ends of rounds) assert.deepEqual(ends, cut((index + 1) * half));
  }
});
