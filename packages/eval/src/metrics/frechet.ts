import { EmuError } from '@emu/program';
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** Mean [D] and covariance [D,D] (row-major, divided by N-1) of some features. */
export interface FeatureStatistics {
  readonly mean: ArrayLike<number>;
  readonly covariance: ArrayLike<number>;
}

/**
 * Mean and covariance of features.
 * features [N,D] row-major, N at least 2 -> mean [D], covariance [D,D] f64.
 * @throws EmuError INVALID_OPTION for fewer than 2 rows, or a length that is no multiple of the width.
 */
export function featureStatistics(features: ArrayLike<number>, width: number): FeatureStatistics {
  const rows = features.length / width;
  if (!Number.isInteger(rows) || rows < 2) {
    throw new EmuError(
      'INVALID_OPTION',
      `[frechet] needs at least 2 rows of ${width} features, got ${features.length} numbers`,
      { details: { width, numbers: features.length } },
    );
  }
  const mean = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < width; at++) mean[at] = (mean[at] ?? 0) + (features[row * width + at] ?? 0) / rows;
  }
  const covariance = new Float64Array(width * width);
  const centred = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    for (let at = 0; at < width; at++) centred[at] = (features[row * width + at] ?? 0) - (mean[at] ?? 0);
    for (let i = 0; i < width; i++) {
      const value = (centred[i] ?? 0) / (rows - 1);
      for (let j = 0; j < width; j++) {
        covariance[i * width + j] = (covariance[i * width + j] ?? 0) + value * (centred[j] ?? 0);
      }
    }
  }
  return { mean, covariance };
}

function covarianceMatrix(name: string, { mean, covariance }: FeatureStatistics): Matrix {
  const width = mean.length;
  if (width === 0 || covariance.length !== width * width) {
    throw new EmuError(
      'INVALID_OPTION',
      `[frechet] the covariance of the ${name} set must have ${width}x${width} numbers, got ${covariance.length}`,
      { details: { width, covariance: covariance.length } },
    );
  }
  const values = Array.from(covariance);
  if (![...Array.from(mean), ...values].every(Number.isFinite)) {
    throw new EmuError(
      'NON_FINITE',
      `[frechet] the statistics of the ${name} set hold a number that is not finite`,
    );
  }
  return new Matrix(Array.from({ length: width }, (_, row) => values.slice(row * width, (row + 1) * width)));
}

/** Eigenvalues of a symmetric matrix; rounding can leave those of a covariance a little below zero. */
function spectrum(matrix: Matrix): { values: number[]; vectors: Matrix } {
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  return { values: realEigenvalues.map((value) => Math.max(0, value)), vectors: eigenvectorMatrix };
}

/**
 * Trace of the square root of a product of covariances. The eigenvalues of A B are those of the symmetric matrix
 * sqrt(A) B sqrt(A), which are real and at least 0 also where A or B is singular.
 */
function rootTrace(a: Matrix, b: Matrix): number {
  const { values, vectors } = spectrum(a);
  const root = vectors.mmul(Matrix.diag(values.map(Math.sqrt))).mmul(vectors.transpose());
  const product = root.mmul(b).mmul(root);
  const symmetric = Matrix.add(product, product.transpose()).mul(0.5);
  return spectrum(symmetric).values.reduce((sum, value) => sum + Math.sqrt(value), 0);
}

/**
 * Fréchet distance of two Gaussians, |m1 - m2|² + tr(C1 + C2 - 2 sqrt(C1 C2)); FID when the features are Inception's.
 * Rounding may leave the distance of equal sets slightly below 0.
 * @throws EmuError INVALID_OPTION for sets of different width, NON_FINITE for a number that is not finite.
 * Source: pytorch-fid, which takes the root of the product itself; equal to it within 1e-6.
 */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  if (a.mean.length !== b.mean.length) {
    throw new EmuError(
      'INVALID_OPTION',
      `[frechet] both sets need features of one width, got ${a.mean.length} and ${b.mean.length}`,
      { details: { first: a.mean.length, second: b.mean.length } },
    );
  }
  const [first, second] = [covarianceMatrix('first', a), covarianceMatrix('second', b)];
  let distance = first.trace() + second.trace() - 2 * rootTrace(first, second);
  for (let at = 0; at < a.mean.length; at++) distance += ((a.mean[at] ?? 0) - (b.mean[at] ?? 0)) ** 2;
  return distance;
}
