/** Concept embeddings of the safety checker, rows of width E, and the cosine above which each counts as seen. */
export interface ConceptSet {
  readonly embeddings: Float32Array;
  readonly thresholds: Float32Array;
}

/** Both sets of a safety checker: `concepts` flag a picture, `specialCare` makes the judgement stricter. */
export interface SafetyConcepts {
  readonly concepts: ConceptSet;
  readonly specialCare: ConceptSet;
}

/** What the checker saw in one picture. */
export interface SafetyVerdict {
  readonly flagged: boolean;
  /** Cosines with the concepts, in order. */
  readonly conceptCosines: Float32Array;
  readonly specialCareCosines: Float32Array;
  /** Indices of the concepts that were seen. */
  readonly concepts: readonly number[];
  readonly specialCare: readonly number[];
}

// Once a special-care concept was seen, this is added to every later score of the picture.
const specialCareAdjustment = 0.01;

/**
 * Judges pictures by their CLIP embeddings: a picture is flagged if any concept's score (cosine minus threshold,
 * plus the adjustment) is above 0 after rounding to three digits.
 * imageEmbeddings f32[B,width] -> B verdicts.
 * Source: diffusers v0.15.1 StableDiffusionSafetyChecker.forward, its rounding included.
 */
export function safetyVerdicts(
  imageEmbeddings: Float32Array,
  width: number,
  { concepts, specialCare }: SafetyConcepts,
): readonly SafetyVerdict[] {
  return Array.from({ length: imageEmbeddings.length / width }, (_, row) => {
    const image = imageEmbeddings.subarray(row * width, (row + 1) * width);
    const specialCareCosines = cosines(image, specialCare.embeddings);
    const conceptCosines = cosines(image, concepts.embeddings);
    const special = specialCareSeen(specialCareCosines, specialCare.thresholds);
    const adjustment = special.length > 0 ? specialCareAdjustment : 0;
    const found = [...conceptCosines.keys()].filter((index) =>
      isSeen(conceptCosines, concepts.thresholds, index, adjustment),
    );
    return {
      flagged: found.length > 0,
      conceptCosines,
      specialCareCosines,
      concepts: found,
      specialCare: special,
    };
  });
}

/** The first hit already makes the judgement of the special-care concepts after it stricter. */
function specialCareSeen(cosinesOfRow: Float32Array, thresholds: Float32Array): readonly number[] {
  const found: number[] = [];
  for (const index of cosinesOfRow.keys()) {
    const adjustment = found.length > 0 ? specialCareAdjustment : 0;
    if (isSeen(cosinesOfRow, thresholds, index, adjustment)) found.push(index);
  }
  return found;
}

/** Above 0 after rounding to three digits, ties to even: above 0.0005. */
function isSeen(
  cosinesOfRow: Float32Array,
  thresholds: Float32Array,
  index: number,
  adjustment: number,
): boolean {
  const score = (cosinesOfRow[index] ?? 0) - (thresholds[index] ?? Infinity) + adjustment;
  return score * 1000 > 0.5;
}

function cosines(image: Float32Array, rows: Float32Array): Float32Array {
  const width = image.length;
  return Float32Array.from({ length: rows.length / width }, (_, row) => {
    const concept = rows.subarray(row * width, (row + 1) * width);
    return dot(image, concept) / Math.sqrt(dot(image, image) * dot(concept, concept));
  });
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}
