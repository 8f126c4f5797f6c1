export { bleu, type BleuScores } from './metrics/bleu.js';
export { cider } from './metrics/cider.js';
export { tokenizeCaption, type CaptionCase, type CaptionScores } from './metrics/corpus.js';
export { featureStatistics, frechetDistance, type FeatureStatistics } from './metrics/frechet.js';
export { rougeL } from './metrics/rouge-l.js';
export {
  normalizeAnswer,
  normalizePunctuation,
  normalizeWords,
  vqaAccuracy,
} from './metrics/vqa-accuracy.js';
export { attributeCounts, attributeF1, type AttributeCounts } from './metrics/attribute-f1.js';
export { parseCaption, type ClaimedObject, type ParsedCaption } from './metrics/caption-parser.js';
export {
  findObject,
  judgePicture,
  showsExactly,
  showsRelation,
  type JudgedObject,
  type JudgedPicture,
  type Wanted,
} from './judge/judge.js';
export * from './suite/index.js';
