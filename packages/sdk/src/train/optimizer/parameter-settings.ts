import { EmuError } from '@emu/program';

import { nearestName } from '../../generate/option-checks.js';
import type { Recipe } from '../recipe/schema.js';
import { hasDecay, type TrainingParameter } from '../task.js';

/** Settings that parameters share; each group is one input of the update program. */
export interface OptimizerGroup {
  /** Peak learning rate. */
  readonly learningRate: number;
  readonly weightDecay: number;
}

export interface TrainedParameter {
  readonly parameter: TrainingParameter;
  /** Index into `OptimizerSettings.groups`. */
  readonly group: number;
}

/** What the recipe makes of a task's parameters. */
export interface OptimizerSettings {
  readonly groups: readonly OptimizerGroup[];
  /** In the order of the task. */
  readonly trained: readonly TrainedParameter[];
  readonly frozen: readonly TrainingParameter[];
}

type Rule = Recipe['parameter_rules'][number];

/**
 * Decides for every parameter whether it is trained, and with which learning rate and decay.
 * @throws EmuError INVALID_CONFIG for a rule that matches nothing, or when nothing is left to train.
 */
export function optimizerSettings(
  recipe: Pick<Recipe, 'learning_rate' | 'weight_decay' | 'parameter_rules'>,
  parameters: readonly TrainingParameter[],
): OptimizerSettings {
  const rules = recipe.parameter_rules.map((rule) => ({ rule, matches: matcher(rule.match) }));
  for (const { rule, matches } of rules)
    if (!parameters.some(matches)) throw matchesNothing(rule, parameters);
  const groups = new Map<string, { readonly index: number; readonly group: OptimizerGroup }>();
  const trained: TrainedParameter[] = [];
  const frozen: TrainingParameter[] = [];
  for (const parameter of parameters) {
    const rule = rules.find(({ matches }) => matches(parameter))?.rule;
    if (!parameter.trainable || rule?.freeze === true) {
      frozen.push(parameter);
      continue;
    }
    const group = {
      learningRate: (rule?.learning_rate ?? recipe.learning_rate) * (parameter.learningRateScale ?? 1),
      weightDecay: hasDecay(parameter) ? (rule?.weight_decay ?? recipe.weight_decay) : 0,
    };
    const key = `${group.learningRate} ${group.weightDecay}`;
    const known = groups.get(key) ?? { index: groups.size, group };
    groups.set(key, known);
    trained.push({ parameter, group: known.index });
  }
  if (trained.length === 0) {
    throw new EmuError('INVALID_CONFIG', `[train] all ${parameters.length} parameters are frozen`, {
      hint: 'Take a rule with freeze: true out of parameter_rules.',
      details: { parameters: parameters.length },
    });
  }
  return { groups: [...groups.values()].map(({ group }) => group), trained, frozen };
}

/** A pattern matches the whole name of a parameter or of its group; `*` stands for any characters. */
function matcher(pattern: string): (parameter: TrainingParameter) => boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, String.raw`\$&`));
  const expression = new RegExp(`^${parts.join('.*')}$`, 's');
  return ({ name, group }) => expression.test(name) || expression.test(group);
}

function matchesNothing({ match }: Rule, parameters: readonly TrainingParameter[]): EmuError {
  const groups = [...new Set(parameters.map(({ group }) => group))];
  const nearest = nearestName(match, [...groups, ...parameters.map(({ name }) => name)]);
  const known = `The groups are ${groups.join(', ')}.`;
  return new EmuError(
    'INVALID_CONFIG',
    `[train] parameter_rules: ${JSON.stringify(match)} matches none of ${parameters.length} parameters`,
    {
      hint: nearest === undefined ? known : `Did you mean ${nearest}? ${known}`,
      details: { match, nearest, groups },
    },
  );
}
