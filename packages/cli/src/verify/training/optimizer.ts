import { adamwHyper, type Executable } from '@emu/program';
import { hyperInput, optimizerSettings, updateProgram, type TrainingParameter } from '@emu/sdk/train';

import { numbers, record, type JsonRecord } from '../goldens.js';
import type { TrainedSession } from './trained-session.js';

/** AdamW of training.json over a session's parameters: the trainer's own update program. */
export class AuthorsOptimizer {
  readonly #update: Executable;
  readonly #groups: ReturnType<typeof optimizerSettings>['groups'];
  #step = 0;

  constructor(
    session: TrainedSession,
    parameters: readonly TrainingParameter[],
    private readonly settings: JsonRecord,
  ) {
    const rates = Object.entries(record(settings['lr']));
    const optimizer = optimizerSettings(
      {
        learning_rate: Number(rates[0]?.[1]),
        weight_decay: Number(settings['weight_decay']),
        parameter_rules: rates.map(([module, rate]) => ({
          match: `${module}.*`,
          learning_rate: Number(rate),
        })),
      },
      parameters,
    );
    this.#groups = optimizer.groups;
    this.#update = session.compile(updateProgram(optimizer, false));
  }

  /** Changes the parameters by their gradients. */
  async step(): Promise<void> {
    this.#step += 1;
    const [beta1 = 0.9, beta2 = 0.999] = numbers(this.settings['betas']);
    const inputs = this.#groups.map(({ learningRate, weightDecay }, group) => [
      hyperInput(group),
      adamwHyper({
        learningRate,
        beta1,
        beta2,
        epsilon: Number(this.settings['eps']),
        weightDecay,
        step: this.#step,
      }),
    ]);
    await this.#update.run(Object.fromEntries(inputs) as Record<string, Float32Array>);
  }
}
