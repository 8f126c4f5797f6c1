import { elementCount } from '@emu/program';
import { timestepProjection, unetProgram } from '@emu/sdk/models';

import type { Stage } from '../stage.js';
import { conditionOf } from './condition.js';

const file = 'unet.safetensors';

/** The U-Net block by block, on pictures whose sides divide by 8 and on such that do not. */
export const unetStage: Stage = {
  name: 'unet',
  async run(context) {
    const { goldens, subjects, recorder } = context;
    const subject = await subjects.base();
    const { visualDecoder, causalTransformer } = subject.config;
    if (visualDecoder === undefined) throw new Error('the checkpoint has no unet/');
    const cases = goldens
      .names(file)
      .filter((name) => name.endsWith('.sample'))
      .map((name) => name.slice(0, -7));
    for (const prefix of cases) {
      const sample = await goldens.input(file, `${prefix}.sample`);
      const timestep = Number((await goldens.input(file, `${prefix}.timestep`)).data[0]);
      const [batch = 0, , height = 0, width = 0] = sample.shape;
      const tokens = causalTransformer.queries;
      const program = unetProgram(
        visualDecoder.unet,
        { batch, height, width, tokens },
        { stages: true, precision: { matrices: subject.dtype } },
      );
      const channels = visualDecoder.unet.blockChannels[0] ?? 0;
      const outputs = await subject.run(program, {
        sample: sample.data,
        timeFeatures: timestepProjection(
          new Array<number>(batch).fill(timestep),
          channels,
          visualDecoder.unet,
        ),
        condition: await conditionOf(context, batch),
      });
      for (const { name, value } of program.outputs) {
        const golden = `${prefix}.${name === 'noise' ? 'out' : name}`;
        if (goldens.entry(file, golden) === undefined) continue;
        const shape = program.values[value]?.shape ?? [];
        const data = outputs[name] as Float32Array;
        await recorder.floats(file, golden, shape, data.subarray(0, elementCount(shape)));
      }
    }
  },
};
