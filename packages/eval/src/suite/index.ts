export {
  checkedScores,
  runSuite,
  suiteDefaults,
  suiteSeed,
  type SuiteOptions,
  type SuiteProgress,
} from './suite.js';
export {
  describeScore,
  meetsTarget,
  scoreKeys,
  type Estimate,
  type MeasuredScore,
  type MeasuredScores,
  type ScoreKey,
  type Target,
} from './score.js';
export {
  missedTargets,
  reportMarkdown,
  reportText,
  suiteReport,
  targetText,
  type ScoreLine,
  type SuiteReport,
  type SuiteRun,
} from './report.js';
export { pooledVisionFeatures } from './vision-features.js';
