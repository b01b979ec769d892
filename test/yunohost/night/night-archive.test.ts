import { nightSuite } from './night-suite.ts';

nightSuite('archive');
