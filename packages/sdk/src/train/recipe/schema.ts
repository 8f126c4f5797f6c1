import { z } from 'zod';

const positive = z.number().positive();
const fraction = z.number().min(0).max(1);
const count = z.int().min(0);
const atLeastOne = z.int().min(1);

/** Kinds of learning-rate schedule; each starts with a linear warm-up. */
export const schedulerTypes = ['constant', 'cosine', 'linear'] as const;
export type SchedulerType = (typeof schedulerTypes)[number];

/** Settings of the parameters whose names match; the first rule that matches a name decides. */
const parameterRule = z.strictObject({
  match: z
    .string()
    .min(1)
    .describe('a parameter name or group; * stands for any characters, as in visual.blocks.*'),
  learning_rate: z.number().min(0).optional().describe('peak learning rate of these parameters'),
  weight_decay: z.number().min(0).optional().describe('weight decay of these parameters'),
  freeze: z.boolean().optional().describe('true: these parameters stay as they are'),
});

/** Keys that every recipe has; the words are those of the HF Trainer. Stages add theirs. */
export const trainerOptions = z.strictObject({
  stage: z.string().describe('which stage of training this is'),
  output_dir: z.string().min(1).describe('run folder, from the folder where the command runs'),
  seed: z.int().min(0).default(0).describe('seed of initial weights, data order, dropout and noise'),

  max_steps: atLeastOne.describe('optimizer steps of the whole run'),
  per_device_train_batch_size: atLeastOne.default(8).describe('samples in one micro-batch'),
  gradient_accumulation_steps: atLeastOne.default(1).describe('micro-batches in one step'),

  learning_rate: positive.default(1e-4).describe('peak learning rate'),
  lr_scheduler_type: z.enum(schedulerTypes).default('cosine').describe('how the learning rate falls'),
  warmup_steps: count.default(0).describe('steps in which the learning rate rises from 0'),
  min_learning_rate_ratio: fraction
    .default(0)
    .describe('learning rate at the end of cosine and linear, as a fraction of the peak'),
  weight_decay: z.number().min(0).default(0.05).describe('decoupled decay; none on norms and biases'),
  adam_beta1: z.number().min(0).lt(1).default(0.9),
  adam_beta2: z.number().min(0).lt(1).default(0.98),
  adam_epsilon: positive.default(1e-6),
  max_grad_norm: z.number().min(0).default(5).describe('limit of the global gradient norm; 0: no limit'),
  parameter_rules: z
    .array(parameterRule)
    .default([])
    .describe('learning rates, decay and freezing by name; the first rule that matches decides'),

  bf16: z.boolean().default(false).describe('matrices in bf16, master weights in f32'),
  gradient_checkpointing: z
    .boolean()
    .default(false)
    .describe('recompute the blocks in the backward pass: less memory, more time'),
  ema_decay: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('decay of the average of the weights that is saved; 0: none'),

  logging_steps: atLeastOne.default(10).describe('steps between lines of metrics.jsonl'),
  save_steps: count.default(500).describe('steps between checkpoints; 0: only at the end'),
  save_total_limit: atLeastOne.default(2).describe('checkpoints that are kept'),
  eval_steps: count.default(0).describe('steps between losses on held-out data; 0: never'),
  sample_steps: count.default(0).describe('steps between samples from fixed prompts; 0: never'),
  report_to: z
    .array(z.enum(['tensorboard']))
    .default(['tensorboard'])
    .describe('logs beside metrics.jsonl'),
  resume_from_checkpoint: z
    .union([z.literal('auto'), z.literal('never'), z.string().min(1)])
    .default('auto')
    .describe('auto: the newest in output_dir; never; or the folder of a checkpoint'),
});

/** A recipe as the trainer reads it: defaults filled in. */
export type Recipe = z.output<typeof trainerOptions>;

/** Keys of an adapter, with peft's words; a stage that has adapters takes them under `adapter`. */
export const adapterOptions = z.strictObject({
  r: atLeastOne.default(16).describe('rank'),
  lora_alpha: positive.default(16).describe('scale: the update is multiplied by lora_alpha / r'),
  lora_dropout: z.number().min(0).lt(1).default(0.05).describe('dropout on the input of the adapter'),
  target_modules: z
    .array(z.string().min(1))
    .min(1)
    .default(['q_proj', 'k_proj', 'v_proj', 'o_proj'])
    .describe('names of the linear layers that get one'),
});
export type AdapterOptions = z.output<typeof adapterOptions>;
