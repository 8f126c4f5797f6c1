import { createHash } from 'node:crypto';

import { EmuError } from '@emu/program';
import type { Emu } from '@emu/sdk';

/** A model as the wire knows it. */
export interface ServedModel {
  /** Resource name, "models/{model}". */
  readonly name: string;
  readonly emu: Emu;
  /** Digest of configuration, embedding space and the list of tensors. */
  readonly revision: string;
  /** Backend and element type, such as "cpu-avx512/bf16". */
  readonly runtime: string;
  readonly isInstruct: boolean;
  readonly cacheBytes: number;
}

export function servedModel(id: string, emu: Emu): ServedModel {
  if (!/^[a-z0-9][a-z0-9._-]{0,62}$/i.test(id)) {
    throw new EmuError('INVALID_OPTION', `[server] "${id}" is no name for a model`, {
      hint: 'Use 1 to 63 letters, digits, dots, dashes and underscores.',
      details: { id },
    });
  }
  const { model } = emu;
  const { name: backend, instructionSet } = model.device;
  const { pages, pageSize, cacheDtype } = model.cacheConfig;
  const { layers, width } = model.config.llama;
  return {
    name: `models/${id}`,
    emu,
    revision: revisionOf(emu),
    runtime: `${backend}-${instructionSet}/${model.precision.matrices}`,
    isInstruct: model.files.tokenizer.specialTokens.user !== undefined,
    cacheBytes: pages * pageSize * layers * 2 * width * (cacheDtype === 'f32' ? 4 : 2),
  };
}

/** The models of a server, found by name. */
export class ServedModels {
  constructor(readonly list: readonly [ServedModel, ...ServedModel[]]) {
    const names = new Set(list.map(({ name }) => name));
    if (names.size < list.length) {
      throw new EmuError('INVALID_OPTION', '[server] two models have one name', {
        details: { names: list.map(({ name }) => name) },
      });
    }
  }

  get byDefault(): ServedModel {
    return this.list[0];
  }

  /** A model by its resource name; the default one for an empty name. @throws EmuError MODEL_NOT_FOUND. */
  find(name: string, field = 'model'): ServedModel {
    if (name === '') return this.byDefault;
    const found = this.list.find((model) => model.name === name);
    if (found !== undefined) return found;
    const known = this.list.map((model) => model.name).join(', ');
    throw new EmuError(
      'MODEL_NOT_FOUND',
      `[model] there is no ${JSON.stringify(name.slice(0, 80))}, only ${known}`,
      {
        hint: `Name one of ${known}, or none for the first.`,
        details: { field, resource: name, known },
      },
    );
  }
}

function revisionOf({ model }: Emu): string {
  const hash = createHash('sha256').update(JSON.stringify(model.config)).update(model.files.space);
  for (const [component, file] of Object.entries(model.files.checkpoints)) {
    hash.update(component);
    for (const [name, { dtype, shape }] of file.entries) hash.update(`${name} ${dtype} ${shape.join()}`);
  }
  return hash.digest('hex').slice(0, 16);
}
