// What every mode is given.
import type { WorkFolder } from '../measure/work-folder.ts';
import type { BenchOptions } from '../options.ts';
import type { Report } from '../report/report.ts';

export interface ModeContext {
  readonly options: BenchOptions;
  readonly report: Report;
  readonly work: WorkFolder;
}

export type Mode = (context: ModeContext) => Promise<void>;
