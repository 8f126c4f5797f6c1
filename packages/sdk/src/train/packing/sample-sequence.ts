import type { Sample, SampleElement, SampleImage, SampleKind, SampleRole } from '@emu/data';
import { EmuError } from '@emu/program';

import { chatParts, type ChatMessage, type ChatPart } from '../../generate/chat-format.js';
import { captionPrompt } from '../../generate/verbs.js';
import { image, video, type PromptItem } from '../../image/media.js';
import { preprocessForEncoder } from '../../image/preprocess.js';
import { rgbPixels } from '../../image/pixels.js';
import type { EmuTokenizer, PromptPart } from '../../tokenizer/emu-tokenizer.js';
import type { TrainingSequence } from './training-sequence.js';

/** How samples become sequences. */
export interface SequenceModel {
  readonly tokenizer: EmuTokenizer;
  /** N, places of a picture. */
  readonly queries: number;
  /** S, side of the encoder's pictures. */
  readonly imageSize: number;
  /** Places a sequence may have. */
  readonly longest: number;
}

/** How a plain sequence is laid out. */
export interface PlainLayout {
  /** The text of a pair comes before its picture. Default false. */
  readonly textFirst?: boolean;
  /** Texts of users and systems are read, not learned. Default false. */
  readonly answersOnly?: boolean;
  /** Pictures right after a text, and what a blend becomes, are imagined, see `UnifiedOptions.imagined`. Default false. */
  readonly imagined?: boolean;
}

/**
 * A sample as pretraining reads it: `<s>`, its elements in order, `</s>`; every picture is [IMG], N slots, [/IMG]; texts
 * that meet are joined by a space, so that a question is followed by its answer. Elements that do not fit into `longest`
 * are cut off from the end.
 * @throws EmuError INVALID_PROMPT if not even the first element fits.
 * Source: Emu1/utils.py:33-44 for pictures and frames.
 */
export function plainSequence(
  sample: Sample,
  model: SequenceModel,
  { textFirst = false, answersOnly = false, imagined = false }: PlainLayout = {},
): TrainingSequence {
  const ordered = textFirst && sample.kind === 'pair' ? [...sample.elements].reverse() : sample.elements;
  for (let count = ordered.length; count > 0; count--) {
    const elements = ordered.slice(0, count);
    const ids = model.tokenizer.encodeSegments([...plainParts(elements, model.queries), { special: 'eos' }]);
    if (ids.length > model.longest) continue;
    return {
      ids,
      pictures: picturesOf(elements, model),
      ...(answersOnly && { learned: learnedOf(ids, elements, model) }),
      ...(imagined && { imagined: areAsked(sample.kind, elements) }),
    };
  }
  throw tooLong(sample, model);
}

/** Of every picture, whether a model is asked for such a one: after a text, or as the third of a blend. */
function areAsked(kind: SampleKind, elements: readonly SampleElement[]): readonly boolean[] {
  return elements.flatMap(({ type }, index) =>
    type === 'image' ? [elements[index - 1]?.type === 'text' || (kind === 'blend' && index === 2)] : [],
  );
}

/** False for the tokens of elements of a user or a system. */
function learnedOf(
  ids: readonly number[],
  elements: readonly SampleElement[],
  { tokenizer, queries }: SequenceModel,
): readonly boolean[] {
  const learned = ids.map(() => true);
  // Texts that meet are encoded as one, so where an element ends is where the prompt up to it does.
  const end = (count: number): number =>
    tokenizer.encodeSegments(plainParts(elements.slice(0, count), queries)).length;
  for (const [index, { role }] of elements.entries()) {
    if (role === 'user' || role === 'system') learned.fill(false, end(index), end(index + 1));
  }
  return learned;
}

/** Elements as parts of a prompt, without `<s>` and `</s>`. */
export function plainParts(elements: readonly SampleElement[], queries: number): readonly PromptPart[] {
  return elements.flatMap((element, index): readonly PromptPart[] => {
    if (element.type === 'image') return pictureParts(queries);
    const joined = elements[index - 1]?.type === 'text' ? ` ${element.text}` : element.text;
    return [{ text: joined }];
  });
}

/** Pixels of the pictures among elements, as the encoder takes them. */
export function picturesOf(
  elements: readonly SampleElement[],
  { imageSize }: Pick<SequenceModel, 'imageSize'>,
): readonly Float32Array[] {
  return elements.flatMap((element) =>
    element.type === 'image' ? [encoderPixels(element.image, imageSize)] : [],
  );
}

/** [3,S,S] f32, normalised with the CLIP mean and deviation. */
export function encoderPixels({ width, height, data }: SampleImage, imageSize: number): Float32Array {
  return preprocessForEncoder(rgbPixels(width, height, data), imageSize).data;
}

/**
 * A sample as instruction tuning reads it: `<system> [USER]: <question> [ASSISTANT]: <answer></s>`, turns one after the
 * other, as `chat` writes them when the model runs; only answers and their `</s>` are learned. Elements without a role
 * count as the user's. A pair becomes what `caption` asks and its text the answer.
 * @throws EmuError INVALID_PROMPT for turns out of order, a sample without an answer, or one that does not fit.
 * Source: Emu1/inference.py:64-68; loss on the answer only as in Emu2 (arXiv 2312.13286).
 */
export function instructSequence(sample: Sample, model: SequenceModel): TrainingSequence {
  if (sample.kind === 'pair') return captionSequence(sample, model);
  const media = new Map<PromptItem, readonly SampleImage[]>();
  const messages = messagesOf(sample, media);
  const answers = [...messages.keys()].filter((index) => messages[index]?.role === 'assistant');
  const last = answers.at(-1);
  if (last === undefined) {
    throw new EmuError('INVALID_PROMPT', `[packing] sample ${sample.id} has no answer to learn`, {
      hint: 'Instruction tuning takes samples with elements of role assistant.',
      details: { sample: sample.id, kind: sample.kind },
    });
  }
  const encode = (parts: readonly PromptPart[]): number[] => model.tokenizer.encodeSegments(parts);
  const promptTo = (index: number): readonly PromptPart[] =>
    chatParts(messages.slice(0, index)).flatMap((part) => partsOf(part, media, model.queries));
  const answered = (index: number): readonly PromptPart[] => [
    ...promptTo(index),
    { text: ` ${textOf(messages[index])}` },
    { special: 'eos' },
  ];
  const ids = encode(answered(last));
  if (ids.length > model.longest) throw tooLong(sample, model);
  const learned = ids.map(() => false);
  for (const index of answers)
    learned.fill(true, encode(promptTo(index)).length, encode(answered(index)).length);
  const elements = sample.elements.slice(0, lastAnswerElement(sample) + 1);
  return { ids, learned, pictures: picturesOf(elements, model) };
}

/** A pair as `caption` asks for it: the text of the pair is what follows the words that the answer begins with. */
function captionSequence(sample: Sample, model: SequenceModel): TrainingSequence {
  const { tokenizer } = model;
  const picture = sample.elements.find((element) => element.type === 'image');
  const caption = sample.elements
    .flatMap((element) => (element.type === 'text' ? [element.text] : []))
    .join(' ');
  const media = new Map<PromptItem, readonly SampleImage[]>();
  const item = picture === undefined ? undefined : mediumOf(picture, media);
  const asked = item === undefined ? undefined : captionPrompt(item, tokenizer, '');
  if (asked?.kind !== 'chat' || caption === '') {
    throw new EmuError('INVALID_PROMPT', `[packing] sample ${sample.id} is no picture with a text`, {
      details: { sample: sample.id },
    });
  }
  const prompt: readonly PromptPart[] = [
    ...chatParts(asked.messages).flatMap((part) => partsOf(part, media, model.queries)),
    { text: asked.answerBegins },
  ];
  const ids = tokenizer.encodeSegments([...prompt, { text: ` ${caption}` }, { special: 'eos' }]);
  if (ids.length > model.longest) throw tooLong(sample, model);
  const begin = tokenizer.encodeSegments(prompt).length;
  return {
    ids,
    learned: ids.map((_, place) => place >= begin),
    pictures: picturesOf(sample.elements, model),
  };
}

function tooLong({ id, kind }: Sample, { longest }: SequenceModel): EmuError {
  return new EmuError('INVALID_PROMPT', `[packing] sample ${id} does not fit into ${longest} places`, {
    hint: 'Give longer rows (sequence_length).',
    details: { sample: id, kind, longest },
  });
}

function pictureParts(queries: number): readonly PromptPart[] {
  return [{ special: 'imageStart' }, { special: 'imageSlot', count: queries }, { special: 'imageEnd' }];
}

function partsOf(
  part: ChatPart,
  media: ReadonlyMap<PromptItem, readonly SampleImage[]>,
  queries: number,
): readonly PromptPart[] {
  if (part.kind === 'text') return [{ text: part.text }];
  if (part.kind === 'special') return [{ special: part.name }];
  if (part.kind === 'image') return pictureParts(queries);
  return part.items.flatMap((item) =>
    typeof item === 'string'
      ? [{ text: item }]
      : (media.get(item) ?? []).flatMap(() => pictureParts(queries)),
  );
}

/** Elements that stand together and have one role are one message; frames of a video are one video. */
function messagesOf(sample: Sample, media: Map<PromptItem, readonly SampleImage[]>): readonly ChatMessage[] {
  const messages: { role: SampleRole; content: PromptItem[] }[] = [];
  for (const [index, element] of sample.elements.entries()) {
    const role = element.role ?? 'user';
    let message = messages.at(-1);
    if (message?.role !== role) messages.push((message = { role, content: [] }));
    if (element.type === 'text') {
      const follows = typeof message.content.at(-1) === 'string';
      message.content.push(follows ? ` ${element.text}` : element.text);
      continue;
    }
    const before = sample.elements[index - 1];
    const isNextFrame = element.timeSeconds !== undefined && before?.type === 'image';
    const item = isNextFrame ? message.content.at(-1) : undefined;
    const frames = item === undefined ? undefined : media.get(item);
    if (item !== undefined && frames !== undefined) media.set(item, [...frames, element.image]);
    else message.content.push(mediumOf(element, media));
  }
  return messages;
}

/** Stands for a picture or the frames of a video; the chat format looks only at its kind. */
function mediumOf(
  element: Extract<SampleElement, { type: 'image' }>,
  media: Map<PromptItem, readonly SampleImage[]>,
): PromptItem {
  const { width, height, data } = element.image;
  const item =
    element.timeSeconds === undefined ? image(rgbPixels(width, height, data)) : video(new Uint8Array(0));
  media.set(item, [element.image]);
  return item;
}

function textOf(message: ChatMessage | undefined): string {
  const items = Array.isArray(message?.content) ? (message.content as readonly PromptItem[]) : [];
  return items.filter((item) => typeof item === 'string').join('');
}

function lastAnswerElement({ elements }: Sample): number {
  return elements.findLastIndex(({ role }) => role === 'assistant');
}
