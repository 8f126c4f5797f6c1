import type { SampleImage } from '../sample.js';
import { backgroundValues, colorValues, type Color, type Rgb, type Texture } from './attributes.js';
import type { Scene, SceneObject } from './scene.js';
import { insideShape } from './shape-area.js';
import { stylePixels } from './style-pixels.js';

/** Points per pixel and axis that decide how much of a pixel an object covers. */
const pointsPerAxis = 4;

/** The second colour of a stripe or a dot. White and black move towards grey, the others darken and keep their hue. */
function shadeOf(color: Color): Rgb {
  if (color === 'white') return [182, 182, 182];
  if (color === 'black') return [78, 78, 78];
  const [red, green, blue] = colorValues[color];
  return [red * 0.55, green * 0.55, blue * 0.55];
}

/** Whether a point, in 64ths of the side from the object's centre, has the second colour of its texture. */
const isShaded: Readonly<Record<Texture, (x: number, y: number) => boolean>> = {
  solid: () => false,
  striped: (_x, y) => ((y % 5) + 5) % 5 >= 3,
  dotted: (x, y) => {
    const u = (((x % 5) + 5) % 5) - 2.5;
    const v = (((y % 5) + 5) % 5) - 2.5;
    return u * u + v * v <= 2.4;
  },
};

/** Lays one object over the canvas (rows of three floats per pixel, 0..255). */
function drawObject(canvas: Float32Array, side: number, object: SceneObject): void {
  const inside = insideShape[object.shape];
  const shaded = isShaded[object.texture];
  const main = colorValues[object.color];
  const shade = shadeOf(object.color);
  const radius = object.radius * side;
  const centreX = object.x * side;
  const centreY = object.y * side;
  const reach = radius * 1.1;
  const fromColumn = Math.max(0, Math.floor(centreX - reach));
  const toColumn = Math.min(side - 1, Math.ceil(centreX + reach));
  const fromRow = Math.max(0, Math.floor(centreY - reach));
  const toRow = Math.min(side - 1, Math.ceil(centreY + reach));
  const points = pointsPerAxis * pointsPerAxis;
  for (let row = fromRow; row <= toRow; row++) {
    for (let column = fromColumn; column <= toColumn; column++) {
      let mainPoints = 0;
      let shadePoints = 0;
      for (let point = 0; point < points; point++) {
        const x = column + ((point % pointsPerAxis) + 0.5) / pointsPerAxis - centreX;
        const y = row + (Math.floor(point / pointsPerAxis) + 0.5) / pointsPerAxis - centreY;
        if (!inside(x / radius, y / radius)) continue;
        if (shaded((x * 64) / side, (y * 64) / side)) shadePoints++;
        else mainPoints++;
      }
      if (mainPoints + shadePoints === 0) continue;
      const left = points - mainPoints - shadePoints;
      const at = (row * side + column) * 3;
      for (let channel = 0; channel < 3; channel++) {
        const under = canvas[at + channel] ?? 0;
        const over = (main[channel] ?? 0) * mainPoints + (shade[channel] ?? 0) * shadePoints;
        canvas[at + channel] = (under * left + over) / points;
      }
    }
  }
}

/** The background: one tone that becomes brighter or darker from top to bottom. */
function drawBackground(canvas: Float32Array, side: number, scene: Scene): void {
  const tone = backgroundValues[scene.background];
  for (let row = 0; row < side; row++) {
    const brightness = 1 + scene.gradient * (row / Math.max(1, side - 1) - 0.5);
    for (let column = 0; column < side; column++) {
      const at = (row * side + column) * 3;
      for (let channel = 0; channel < 3; channel++) canvas[at + channel] = (tone[channel] ?? 0) * brightness;
    }
  }
}

/** Draws a scene as a square picture, RGB, `side` pixels wide. The same scene gives the same bytes everywhere. */
export function drawScene(scene: Scene, side: number): SampleImage {
  const canvas = new Float32Array(side * side * 3);
  drawBackground(canvas, side, scene);
  for (const object of scene.objects) drawObject(canvas, side, object);
  const data = new Uint8Array(canvas.length);
  const style = stylePixels[scene.style];
  for (let row = 0; row < side; row++) {
    const gridRow = Math.floor((row * 64) / side);
    for (let column = 0; column < side; column++) {
      const gridColumn = Math.floor((column * 64) / side);
      const at = (row * side + column) * 3;
      for (const channel of [0, 1, 2] as const) {
        const value = style(canvas[at + channel] ?? 0, channel, gridColumn, gridRow);
        data[at + channel] = Math.min(255, Math.max(0, Math.round(value)));
      }
    }
  }
  return { width: side, height: side, data };
}
