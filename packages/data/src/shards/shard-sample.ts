import { DataError } from '../errors.js';
import { sampleKinds } from '../kinds/index.js';
import type { Sample, SampleElement, SampleImage, SampleKind, SampleRole } from '../sample.js';
import type { ShardEntry } from './tar-samples.js';

/** Decodes the file of a picture. A failure is told with the name of the sample. */
export type ImageDecoder = (bytes: Uint8Array) => Promise<SampleImage>;

const pictureExtensions = ['jpg', 'jpeg', 'png', 'webp', 'gif', 'avif', 'tif', 'tiff'];
const roles: readonly SampleRole[] = ['system', 'user', 'assistant'];
const mostElements = 4096;

/**
 * A sample of the files of one: either `json` with `{ "kind", "elements" }`, whose pictures name their files by what
 * follows the basename, or a picture with `txt`, a pair. Other files, and a `json` of anything else, are left alone.
 * @throws DataError DATA_CORRUPT naming sample and shard.
 */
export async function shardSample(source: string, entry: ShardEntry, decode: ImageDecoder): Promise<Sample> {
  try {
    const { kind, elements } = (await interleaved(entry, decode)) ?? (await pair(entry, decode));
    return { id: `${entry.shard}#${entry.key}`, source, kind, elements };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const { shard, key } = entry;
    throw new DataError('DATA_CORRUPT', `[shards] sample ${JSON.stringify(key)} of ${shard}: ${reason}`, {
      hint: 'Write the shard again without the sample, or with whole files.',
      details: { shard, sample: key, reason },
      cause,
    });
  }
}

interface Content {
  readonly kind: SampleKind;
  readonly elements: readonly SampleElement[];
}

async function pair({ files }: ShardEntry, decode: ImageDecoder): Promise<Content> {
  const pictures = pictureExtensions.flatMap((extension) => files.get(extension) ?? []);
  const [picture] = pictures;
  const caption = files.get('txt');
  if (picture === undefined || pictures.length > 1 || caption === undefined) {
    throw new Error(
      `a pair has one picture and a txt, this one has ${[...files.keys()].map((name) => `.${name}`).join(', ')}`,
    );
  }
  const text = utf8(caption, 'txt').trim();
  if (text === '') throw new Error('its txt is empty');
  return {
    kind: 'pair',
    elements: [
      { type: 'image', image: await decode(picture) },
      { type: 'text', text },
    ],
  };
}

async function interleaved({ files }: ShardEntry, decode: ImageDecoder): Promise<Content | undefined> {
  const json = files.get('json');
  if (json === undefined) return undefined;
  const value: unknown = JSON.parse(utf8(json, 'json'));
  if (!isRecord(value) || !('elements' in value)) return undefined;
  const { kind, elements } = value;
  if (!isKind(kind))
    throw new Error(`its kind is ${JSON.stringify(kind)}, none of ${sampleKinds.join(', ')}`);
  if (!Array.isArray(elements) || elements.length < 1 || elements.length > mostElements)
    throw new Error(`its elements must be a list of 1..${mostElements}`);
  const made: SampleElement[] = [];
  for (const [index, element] of elements.entries())
    made.push(await elementOf(element, index, files, decode));
  return { kind, elements: made };
}

async function elementOf(
  element: unknown,
  index: number,
  files: ShardEntry['files'],
  decode: ImageDecoder,
): Promise<SampleElement> {
  const place = `element ${index}`;
  if (!isRecord(element)) throw new Error(`${place} is no object`);
  const { type, text, file, timeSeconds } = element;
  const role = checkedRole(element['role'], place);
  if (type === 'text') {
    if (typeof text !== 'string' || text === '') throw new Error(`the text of ${place} is no text`);
    return { type, text, ...role };
  }
  if (type !== 'image') throw new Error(`the type of ${place} is ${JSON.stringify(type)}, not text or image`);
  const bytes = typeof file === 'string' ? files.get(file.toLowerCase()) : undefined;
  if (bytes === undefined)
    throw new Error(`the file of ${place}, ${JSON.stringify(file)}, is not in the shard`);
  if (timeSeconds !== undefined && !(typeof timeSeconds === 'number' && timeSeconds >= 0))
    throw new Error(`timeSeconds of ${place} is ${JSON.stringify(timeSeconds)}, not 0 or more`);
  return { type, image: await decode(bytes), ...role, ...(timeSeconds !== undefined && { timeSeconds }) };
}

function checkedRole(role: unknown, place: string): { readonly role?: SampleRole } {
  if (role === undefined) return {};
  const known = roles.find((one) => one === role);
  if (known === undefined)
    throw new Error(`the role of ${place} is ${JSON.stringify(role)}, none of ${roles.join(', ')}`);
  return { role: known };
}

function utf8(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`its ${name} is not UTF-8`, { cause });
  }
}

function isKind(value: unknown): value is SampleKind {
  return sampleKinds.some((kind) => kind === value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
