import type { SampleImage } from '@emu/data';
import { EmuError, trace, type Program } from '@emu/program';
import type { Emu } from '@emu/sdk';
import { preprocessForEncoder, rgbPixels } from '@emu/sdk/image';
import { evaVit, Parameters, visionFeatures, type MultimodalConfig, type Precision } from '@emu/sdk/models';

const batch = 8;

/** Features of the vision encoder's last block: pixels f32[B,3,S,S], normalised -> features f32[B,1+P,D]. */
function featuresProgram({ visual }: Pick<MultimodalConfig, 'visual'>, precision: Precision): Program {
  return trace(`vision-features.${batch}`, (t) => {
    const vit = evaVit(Parameters.of(t, precision).in('visual'), visual);
    const pixels = t.input('pixels', [batch, 3, visual.imageSize, visual.imageSize]);
    t.output(
      'features',
      visionFeatures(vit, pixels, visual, () => undefined),
    );
  });
}

/**
 * What a model's own vision encoder makes of pictures: for each the mean over patches and class token, f32[D].
 * @throws EmuError as loading the vision part, or `signal.reason`.
 */
export async function pooledVisionFeatures(
  emu: Emu,
  pictures: readonly SampleImage[],
  signal?: AbortSignal,
): Promise<readonly Float32Array[]> {
  const { model } = emu;
  await model.load('vision', signal ? { signal } : {});
  const { imageSize, width } = model.config.visual;
  const pooled: Float32Array[] = [];
  for (let start = 0; start < pictures.length; start += batch) {
    const some = pictures.slice(start, start + batch);
    const pixels = new Float32Array(batch * 3 * imageSize * imageSize);
    for (const [index, picture] of some.entries()) {
      const { data } = preprocessForEncoder(
        rgbPixels(picture.width, picture.height, picture.data),
        imageSize,
      );
      pixels.set(data, index * data.length);
    }
    const { features } = await model
      .compiled('vision-features', () => featuresProgram(model.config, model.precision))
      .run({ pixels }, signal ? { signal } : {});
    if (!(features instanceof Float32Array)) throw new EmuError('INTERNAL', '[suite] no features came out');
    const perPicture = features.length / batch;
    for (const index of some.keys()) {
      pooled.push(meanRow(features.subarray(index * perPicture, (index + 1) * perPicture), width));
    }
  }
  return pooled;
}

function meanRow(rows: Float32Array, width: number): Float32Array {
  const count = rows.length / width;
  return Float32Array.from({ length: width }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < count; row++) sum += rows[row * width + column] ?? 0;
    return sum / count;
  });
}
