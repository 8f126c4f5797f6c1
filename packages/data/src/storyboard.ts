/** A frame of a film and when it is seen. */
export interface TimedFrame<Image> {
  readonly timeSeconds: number;
  readonly image: Image;
}

/** A line of subtitles and when it begins. */
export interface Subtitle {
  readonly startSeconds: number;
  readonly text: string;
}

/** Text and frames in reading order. */
export type StoryboardPiece<Image> =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'image'; readonly image: Image; readonly timeSeconds: number };

/**
 * Interleaves frames and subtitles as the authors' storyboard data does: everything is sorted by time, a frame before
 * a line of the same time; lines up to the next frame are joined with single spaces; what follows the last frame
 * becomes a last text. Frames without a line before them follow each other directly.
 * Source: Emu1 data/yt-sb-1b/video_webdataset_maker_YT1b_sb.py.
 */
export function interleaveStoryboard<Image>(
  frames: readonly TimedFrame<Image>[],
  subtitles: readonly Subtitle[],
): StoryboardPiece<Image>[] {
  // Sorting is stable, so frames stay before the lines of the same second.
  const events = [
    ...frames.map((frame) => ({ time: frame.timeSeconds, frame, line: '' })),
    ...subtitles.map((subtitle) => ({ time: subtitle.startSeconds, frame: null, line: subtitle.text })),
  ].sort((a, b) => a.time - b.time);
  const pieces: StoryboardPiece<Image>[] = [];
  let lines: string[] = [];
  const flush = (): void => {
    if (lines.length > 0) pieces.push({ type: 'text', text: lines.join(' ') });
    lines = [];
  };
  for (const { frame, line, time } of events) {
    if (frame === null) {
      lines.push(line);
      continue;
    }
    flush();
    pieces.push({ type: 'image', image: frame.image, timeSeconds: time });
  }
  flush();
  return pieces;
}
