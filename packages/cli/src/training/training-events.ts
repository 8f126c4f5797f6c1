import type { TrainingEvent } from '@emu/sdk/train';

import type { CommandContext } from '../context.js';
import { writeJson } from '../terminal.js';

type StepEvent = Extract<TrainingEvent, { type: 'step' }>;

/**
 * Shows a run: with --json its events as lines on stdout, all but the single steps; else notes on stderr. Steps move the
 * bar in either case.
 */
export function trainingEvents(context: CommandContext): (event: TrainingEvent) => void {
  return (event) => {
    if (event.type === 'step') showStep(context, event);
    else if (context.json) {
      context.progress.clear();
      writeJson(context.terminal.stdout, jsonEvent(event));
    } else noteEvent(context, event);
  };
}

function showStep({ progress }: CommandContext, event: StepEvent): void {
  const { step, maxSteps, terms, gradientNorm, learningRate, tokensPerSecond, etaSeconds } = event;
  progress.show({
    phase: 'training',
    completed: step,
    total: maxSteps,
    unit: 'steps',
    etaSeconds,
    detail: [
      lossText(terms),
      `norm ${number(gradientNorm)}`,
      `lr ${learningRate.toExponential(1)}`,
      `${Math.round(tokensPerSecond)} tokens/s`,
    ].join(', '),
  });
}

/** `loss 2.31 (text 2.01, visual 0.302)`. */
function lossText({ loss = NaN, ...terms }: StepEvent['terms']): string {
  const parts = Object.entries(terms).map(
    ([name, value]) => `${name.replace(/^loss\./, '')} ${number(value)}`,
  );
  return `loss ${number(loss)}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`;
}

function number(value: number): string {
  return value.toPrecision(3);
}

/** Pictures stay in the run folder. */
function jsonEvent(event: Exclude<TrainingEvent, StepEvent>): object {
  if (event.type !== 'samples') return event;
  const { samples, ...rest } = event;
  return {
    ...rest,
    samples: samples.map((sample) =>
      sample.kind === 'text' ? sample : { kind: sample.kind, name: sample.name, prompt: sample.prompt },
    ),
  };
}

function noteEvent({ note }: CommandContext, event: Exclude<TrainingEvent, StepEvent>): void {
  switch (event.type) {
    case 'started': {
      const { task, folder, step, maxSteps, trainedParameters, frozenParameters, resumedFrom } = event;
      note(`${task} in ${folder}: ${trainedParameters} parameters trained, ${frozenParameters} frozen`);
      if (resumedFrom !== null) note(`going on from ${resumedFrom}: step ${step} of ${maxSteps}`);
      return;
    }
    case 'metrics': {
      if (event.metrics['eval_loss'] === undefined) return;
      const { step = 0, ...terms } = event.metrics;
      const texts = Object.entries(terms).map(([name, value]) => `${name} ${number(value)}`);
      note(`step ${step}: ${texts.join(', ')}`);
      return;
    }
    case 'checkpoint':
      note(`step ${event.step}: checkpoint ${event.folder}`);
      return;
    case 'samples':
      note(`step ${event.step}: ${event.samples.length} samples in ${event.folder}`);
      return;
    case 'warning':
      note(`warning: ${event.message}`);
      return;
    case 'finished':
      return;
  }
}
