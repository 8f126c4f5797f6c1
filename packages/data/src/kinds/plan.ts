import type { Random } from '../random.js';
import type { SampleKind, SampleMeta, SampleRole } from '../sample.js';
import type { Scene, SceneObject } from '../world/scene.js';

/** An element before its picture is drawn. */
export type PlannedElement =
  | { readonly type: 'text'; readonly text: string; readonly role?: SampleRole }
  | {
      readonly type: 'image';
      readonly scene: Scene;
      readonly role?: SampleRole;
      readonly timeSeconds?: number;
    };

/** A sample before its pictures are drawn: cheap to make, so that one that breaks the split's rule is thrown away. */
export interface Plan {
  readonly kind: SampleKind;
  readonly elements: readonly PlannedElement[];
  readonly meta: Omit<SampleMeta, 'scenes' | 'heldOut'>;
  /** What the sample is about; a sample of the held-out split has its held-out combination here. */
  readonly focus: readonly SceneObject[];
  /** Combinations that a text names though no picture shows them. */
  readonly mentions?: readonly string[];
}

/** Makes the plan of one sample. May return null when the draws led nowhere; the next attempt has other draws. */
export type Planner = (random: Random) => Plan | null;

export function text(words: string, role?: SampleRole): PlannedElement {
  return role === undefined ? { type: 'text', text: words } : { type: 'text', text: words, role };
}

export function picture(scene: Scene, role?: SampleRole): PlannedElement {
  return role === undefined ? { type: 'image', scene } : { type: 'image', scene, role };
}
