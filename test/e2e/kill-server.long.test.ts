// The long form of kill-server.test.ts.
import { test } from 'node:test';
import { killServerOften } from './kill-server.ts';

test('the server is killed at random moments of a hundred pushes', { timeout: 3_600_000 }, () => killServerOften(100));
