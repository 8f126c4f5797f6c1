import { describe, expect, it } from 'vitest';
import { interleaveStoryboard } from './storyboard.js';

const frames = [0, 4, 8].map((timeSeconds) => ({ timeSeconds, image: `frame ${timeSeconds}` }));
const line = (startSeconds: number, text: string): { startSeconds: number; text: string } => ({
  startSeconds,
  text,
});

describe('interleaveStoryboard', () => {
  it('joins lines up to the next frame and keeps what follows the last', () => {
    const pieces = interleaveStoryboard(frames, [
      line(9, 'end'),
      line(1, 'one'),
      line(3.5, 'two'),
      line(4, 'tie'),
    ]);
    expect(pieces.map((piece) => (piece.type === 'text' ? piece.text : piece.image))).toEqual([
      'frame 0',
      'one two',
      'frame 4',
      'tie',
      'frame 8',
      'end',
    ]);
  });

  it('leaves frames side by side when nobody speaks', () => {
    expect(interleaveStoryboard(frames, []).map(({ type }) => type)).toEqual(['image', 'image', 'image']);
  });

  // The authors round the interval to whole seconds, so all frames of a short film lie at 0.
  it('keeps the order of frames of the same second', () => {
    const still = frames.map(({ image }) => ({ timeSeconds: 0, image }));
    const pieces = interleaveStoryboard(still, [line(0, 'hello')]);
    expect(pieces.map((piece) => (piece.type === 'text' ? piece.text : piece.image))).toEqual([
      'frame 0',
      'frame 4',
      'frame 8',
      'hello',
    ]);
  });
});
