import { EmuError } from '@emu/program';

import { DdimScheduler } from './ddim.js';
import { DpmSolverScheduler } from './dpm-solver.js';
import { EulerScheduler } from './euler.js';
import { PndmScheduler } from './pndm.js';
import type { SchedulerConfig } from './scheduler-config.js';
import { parseSchedulerConfig } from './scheduler-config.js';
import type { Scheduler } from './scheduler.js';

/** Names for the option `scheduler`. */
export const schedulerNames = ['pndm', 'ddim', 'dpmsolver++', 'euler'] as const;
export type SchedulerName = (typeof schedulerNames)[number];

const constructors: Readonly<
  Record<SchedulerName, new (config: SchedulerConfig, steps: number) => Scheduler>
> = {
  pndm: PndmScheduler,
  ddim: DdimScheduler,
  'dpmsolver++': DpmSolverScheduler,
  euler: EulerScheduler,
};

const namesOfClasses: ReadonlyMap<string, SchedulerName> = new Map([
  ['PNDMScheduler', 'pndm'],
  ['DDIMScheduler', 'ddim'],
  ['DPMSolverMultistepScheduler', 'dpmsolver++'],
  ['EulerDiscreteScheduler', 'euler'],
]);

function nameOf(config: SchedulerConfig): SchedulerName {
  const className = config._class_name;
  const name = className === undefined ? 'pndm' : namesOfClasses.get(className);
  if (!name) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[scheduler config] _class_name ${JSON.stringify(className)} is none of ` +
        [...namesOfClasses.keys()].join(', '),
      { hint: `Choose one with the option scheduler: ${schedulerNames.join(', ')}.`, details: { className } },
    );
  }
  return name;
}

/**
 * Makes the scheduler of one run.
 *
 * config: content of a scheduler_config.json (PNDM when it names no class). steps: denoising steps,
 * 1..num_train_timesteps; PNDM makes one call more. scheduler: takes another method with the same noise
 * schedule, as diffusers' `from_config` does. Predictions of noise (`epsilon`) and of velocity (`v_prediction`) are
 * supported.
 *
 * @throws EmuError INVALID_CONFIG for a config that cannot be honoured, INVALID_OPTION for steps or a name.
 */
export function createScheduler(
  config: unknown,
  steps: number,
  options: { readonly scheduler?: SchedulerName | undefined } = {},
): Scheduler {
  const parsed = parseSchedulerConfig(config);
  const name = options.scheduler ?? nameOf(parsed);
  if (!schedulerNames.includes(name)) {
    throw new EmuError(
      'INVALID_OPTION',
      `[scheduler] scheduler ${JSON.stringify(name)} is none of ${schedulerNames.join(', ')}`,
      { details: { scheduler: name } },
    );
  }
  if (!Number.isInteger(steps) || steps < 1 || steps > parsed.num_train_timesteps) {
    throw new EmuError(
      'INVALID_OPTION',
      `[scheduler] steps must be an integer in 1..${parsed.num_train_timesteps}, got ${steps}`,
      { details: { steps, maximum: parsed.num_train_timesteps } },
    );
  }
  return new constructors[name](parsed, steps);
}
