// Five kills here; a hundred in kill-server.long.test.ts.
import { test } from 'node:test';
import { killServerOften } from './kill-server.ts';

test('the server is killed at random moments of five pushes', () => killServerOften(5));
