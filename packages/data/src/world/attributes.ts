/** The words of the drawn world. Colours lie far apart, so that a judge tells them after a VAE or a style. */

export const shapes = ['circle', 'square', 'triangle', 'star', 'cross', 'ring', 'diamond', 'heart'] as const;
export type Shape = (typeof shapes)[number];

export const colors = ['red', 'yellow', 'green', 'cyan', 'blue', 'pink', 'white', 'black'] as const;
export type Color = (typeof colors)[number];

export const sizes = ['small', 'large'] as const;
export type Size = (typeof sizes)[number];

export const textures = ['solid', 'striped', 'dotted'] as const;
export type Texture = (typeof textures)[number];

export const backgrounds = ['gray', 'tan', 'slate', 'olive'] as const;
export type Background = (typeof backgrounds)[number];

export const styles = ['plain', 'pastel', 'night', 'mosaic', 'sketch'] as const;
export type Style = (typeof styles)[number];

/** Red, green, blue, 0..255. */
export type Rgb = readonly [number, number, number];

/** The fill of each colour, before a style changes it. */
export const colorValues: Readonly<Record<Color, Rgb>> = {
  red: [220, 25, 25],
  yellow: [250, 225, 20],
  green: [20, 165, 45],
  cyan: [20, 225, 235],
  blue: [30, 50, 225],
  pink: [245, 70, 205],
  white: [252, 252, 252],
  black: [12, 12, 12],
};

/** Dull tones of middle brightness: every colour stands out from every background. */
export const backgroundValues: Readonly<Record<Background, Rgb>> = {
  gray: [138, 138, 138],
  tan: [176, 146, 112],
  slate: [104, 124, 152],
  olive: [124, 136, 88],
};
