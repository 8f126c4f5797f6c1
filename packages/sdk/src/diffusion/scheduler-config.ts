import { EmuError } from '@emu/program';
import { z } from 'zod';

const probability = z.number().gt(0).lt(1);

const schema = z.looseObject({
  _class_name: z.string().optional(),
  num_train_timesteps: z.int().min(1).max(100_000).default(1000),
  beta_start: probability.default(0.0001),
  beta_end: probability.default(0.02),
  beta_schedule: z.enum(['linear', 'scaled_linear', 'squaredcos_cap_v2']).default('linear'),
  trained_betas: z.array(probability).max(100_000).nullish(),
  prediction_type: z.enum(['epsilon', 'v_prediction']).default('epsilon'),
  steps_offset: z.int().min(0).max(1000).default(0),
  // PNDM, DDIM; what an absent value means depends on the scheduler
  skip_prk_steps: z.boolean().default(false),
  set_alpha_to_one: z.boolean().optional(),
  // DDIM
  clip_sample: z.boolean().default(true),
  clip_sample_range: z.number().positive().default(1),
  thresholding: z.literal(false).default(false),
  // DPM-Solver++
  solver_order: z.int().min(1).max(2).default(2),
  algorithm_type: z.literal('dpmsolver++').default('dpmsolver++'),
  solver_type: z.enum(['midpoint', 'heun']).default('midpoint'),
  lower_order_final: z.boolean().default(true),
  // Euler, DPM-Solver++
  use_karras_sigmas: z.literal(false).default(false),
  interpolation_type: z.literal('linear').default('linear'),
});

/** A scheduler_config.json of diffusers with the defaults of diffusers 0.15.1 filled in. */
export type SchedulerConfig = z.output<typeof schema>;

/**
 * Checks the content of a scheduler_config.json and fills in defaults. Keys no scheduler here reads are kept.
 * @throws EmuError INVALID_CONFIG naming the key, the value and what is supported.
 */
export function parseSchedulerConfig(json: unknown): SchedulerConfig {
  const parsed = schema.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const key = issue ? issue.path.join('.') || '(whole file)' : '(whole file)';
    const value: unknown = issue ? issue.path.reduce<unknown>(property, json) : json;
    throw new EmuError(
      'INVALID_CONFIG',
      `[scheduler config] ${key}: ${issue?.message ?? 'invalid'}, got ${shortText(value)}`,
      { hint: 'Use a scheduler_config.json of diffusers.', details: { key } },
    );
  }
  const config = parsed.data;
  if (config.trained_betas && config.trained_betas.length !== config.num_train_timesteps) {
    throw new EmuError(
      'INVALID_CONFIG',
      `[scheduler config] trained_betas has ${config.trained_betas.length} values, num_train_timesteps is ` +
        `${config.num_train_timesteps}`,
      { details: { length: config.trained_betas.length, num_train_timesteps: config.num_train_timesteps } },
    );
  }
  return config;
}

function property(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<PropertyKey, unknown>)[key]
    : undefined;
}

function shortText(value: unknown): string {
  const text =
    typeof value === 'number' ? String(value) : value === undefined ? 'undefined' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}
