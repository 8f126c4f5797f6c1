import { backgroundValues, backgrounds, type Background, type Rgb, type Style } from '@emu/data';
import { at, judgeSide, median, type Canvas } from './canvas.js';

/** What the background of a picture tells. */
export interface JudgedSetting {
  readonly style: Style;
  readonly background: Background;
  /** The picture as it would look without its style. */
  readonly plain: Canvas;
}

/** Groups pixels that a periodic pattern treats alike. */
type Phase = (column: number, row: number) => number;

const tilePhase: Phase = (column, row) => (column % 4) + 4 * (row % 4);
const strokePhase: Phase = (column, row) => (column + row) % 8;

/** The middle value of each phase: more than half of a picture is background, so objects do not move it much. */
function phaseMedians(plane: Float32Array, phase: Phase, phases: number): number[] {
  const groups: number[][] = Array.from({ length: phases }, () => []);
  for (let row = 0; row < judgeSide; row++) {
    for (let column = 0; column < judgeSide; column++)
      groups[phase(column, row)]?.push(at(plane, column, row));
  }
  return groups.map(median);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
}

/** By how much joints are darker than tiles, as a fraction of the tiles. */
function jointContrast(canvas: Canvas): number {
  const contrasts = canvas.map((plane) => {
    const medians = phaseMedians(plane, tilePhase, 16);
    const isJoint = (phase: number): boolean => phase % 4 === 3 || phase >= 12;
    const tiles = meanOf(medians.filter((_, phase) => !isJoint(phase)));
    const joints = meanOf(medians.filter((_, phase) => isJoint(phase)));
    return (tiles - joints) / Math.max(1, tiles);
  });
  return meanOf(contrasts);
}

/** By how much strokes are lighter than paper, as a fraction of what is missing to white. */
function strokeContrast(canvas: Canvas): number {
  const contrasts = canvas.map((plane) => {
    const medians = phaseMedians(plane, strokePhase, 8);
    const strokes = meanOf(medians.slice(0, 2));
    const paper = meanOf(medians.slice(3, 7));
    return (strokes - paper) / Math.max(1, 255 - paper);
  });
  return meanOf(contrasts);
}

// Drawn pictures have 0.38 and 0.45, and about half of it after a blur of a pixel; without a pattern it is under 0.03.
const jointThreshold = 0.1;
const strokeThreshold = 0.12;

function mapPlanes(
  canvas: Canvas,
  change: (plane: Float32Array, channel: 0 | 1 | 2) => Float32Array,
): Canvas {
  return [change(canvas[0], 0), change(canvas[1], 1), change(canvas[2], 2)];
}

/** Takes joints out: each phase of the tiling is brightened until its background equals that of the tiles' middle. */
function withoutJoints(canvas: Canvas): Canvas {
  return mapPlanes(canvas, (plane) => {
    const medians = phaseMedians(plane, tilePhase, 16);
    const tile = median([0, 1, 2, 4, 5, 6, 8, 9, 10].map((phase) => medians[phase] ?? 0));
    return plane.map((value, index) => {
      const gain =
        (medians[tilePhase(index % judgeSide, Math.floor(index / judgeSide))] ?? tile) / Math.max(1, tile);
      return value / Math.max(0.2, gain);
    });
  });
}

/** Takes strokes out: each phase is moved away from white until its background equals that of the paper. */
function withoutStrokes(canvas: Canvas): Canvas {
  return mapPlanes(canvas, (plane) => {
    const medians = phaseMedians(plane, strokePhase, 8);
    const paper = median(medians.slice(3, 7));
    return plane.map((value, index) => {
      const phase = strokePhase(index % judgeSide, Math.floor(index / judgeSide));
      const left = (255 - (medians[phase] ?? paper)) / Math.max(1, 255 - paper);
      return 255 - (255 - value) / Math.max(0.3, left);
    });
  });
}

/** How pastel and night change a colour, per channel: value * scale + shift. */
const tones: Readonly<Record<'plain' | 'pastel' | 'night', { readonly scale: number; readonly shift: Rgb }>> =
  {
    plain: { scale: 1, shift: [0, 0, 0] },
    pastel: { scale: 0.58, shift: [107, 107, 107] },
    night: { scale: 0.52, shift: [0, 5, 26] },
  };

type Tone = keyof typeof tones;

/** The tone and the background whose colour is nearest to the picture's most usual colour. */
function nearestTone(canvas: Canvas, allowed: readonly Tone[]): { tone: Tone; background: Background } {
  const usual = canvas.map((plane) => median(Array.from(plane)));
  let best: { tone: Tone; background: Background } = { tone: 'plain', background: 'gray' };
  let least = Infinity;
  for (const tone of allowed) {
    const { scale, shift } = tones[tone];
    for (const background of backgrounds) {
      const distance = backgroundValues[background].reduce(
        (sum, value, channel) => sum + (value * scale + (shift[channel] ?? 0) - (usual[channel] ?? 0)) ** 2,
        0,
      );
      if (distance < least) {
        least = distance;
        best = { tone, background };
      }
    }
  }
  return best;
}

/** Names style and background from pixels and takes the style away. */
export function judgeSetting(canvas: Canvas): JudgedSetting {
  const joints = jointContrast(canvas);
  const strokes = strokeContrast(canvas);
  const hasJoints = joints > jointThreshold && joints / jointThreshold >= strokes / strokeThreshold;
  if (hasJoints || strokes > strokeThreshold) {
    const plain = hasJoints ? withoutJoints(canvas) : withoutStrokes(canvas);
    const { background } = nearestTone(plain, ['plain']);
    return { style: hasJoints ? 'mosaic' : 'sketch', background, plain };
  }
  const { tone, background } = nearestTone(canvas, ['plain', 'pastel', 'night']);
  const { scale, shift } = tones[tone];
  const plain = mapPlanes(canvas, (plane, channel) => plane.map((value) => (value - shift[channel]) / scale));
  return { style: tone, background, plain };
}
