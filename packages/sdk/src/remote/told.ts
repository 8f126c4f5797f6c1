import type { GenerationEvent } from '../generate/events.js';

type Counted = Exclude<GenerationEvent['type'], 'queued' | 'image-progress' | 'finish'>;

/** Units of an event that are counted: characters of a text, else the event itself. */
function unitsOf(event: GenerationEvent): number {
  return event.type === 'text' ? event.text.length : 1;
}

/**
 * Which events of a generation a reader has been told of. A generation that has to be begun again with its seed makes
 * the same events, perhaps with text cut elsewhere; those that were told before are dropped.
 */
export class Told {
  readonly #told = new Map<Counted, number>();
  readonly #seen = new Map<Counted, number>();
  /** The last progress told of, as picture and step. */
  #progress: readonly [number, number] = [-1, -1];

  /** Whether events come that were told before. */
  get isBehind(): boolean {
    return [...this.#told].some(([type, count]) => (this.#seen.get(type) ?? 0) < count);
  }

  /** All events come again from the first. */
  restart(): void {
    this.#seen.clear();
  }

  /** What of an event is new; undefined when nothing is. */
  fresh(event: GenerationEvent): GenerationEvent | undefined {
    switch (event.type) {
      case 'finish':
        return event;
      case 'queued':
        return this.#told.has('started') ? undefined : event;
      case 'image-progress':
        return this.#freshProgress(event);
      default:
        return this.#freshPart(event, event.type);
    }
  }

  #freshPart(event: GenerationEvent, type: Counted): GenerationEvent | undefined {
    const seen = this.#seen.get(type) ?? 0;
    const told = this.#told.get(type) ?? 0;
    const after = seen + unitsOf(event);
    this.#seen.set(type, after);
    if (after <= told) return undefined;
    this.#told.set(type, after);
    return event.type === 'text' ? { ...event, text: event.text.slice(told - seen) } : event;
  }

  #freshProgress(
    event: Extract<GenerationEvent, { readonly type: 'image-progress' }>,
  ): GenerationEvent | undefined {
    const [picture, step] = this.#progress;
    if (event.imageIndex < picture || (event.imageIndex === picture && event.step <= step)) return undefined;
    this.#progress = [event.imageIndex, event.step];
    return event;
  }
}
