import { add } from '../../ops/add.js';
import { concat } from '../../ops/concat.js';
import { embedding } from '../../ops/embedding.js';
import { gatherRows } from '../../ops/gather-rows.js';
import { permute } from '../../ops/permute.js';
import { replaceRowsGradient } from '../../ops/replace-rows-gradient.js';
import { replaceRows } from '../../ops/replace-rows.js';
import { reshape } from '../../ops/reshape.js';
import { slice } from '../../ops/slice.js';
import { upsampleNearest } from '../../ops/upsample-nearest.js';
import { exact, oneRounding } from '../tolerances.js';
import { awkwardWidths, makes, type CaseMaker } from './case-list.js';

function* rowCases(): Generator<CaseMaker> {
  for (const width of awkwardWidths) {
    for (const count of [0, 1, 17]) {
      const label = `${count}x${width}`;
      for (const dtype of ['f32', 'bf16'] as const) {
        yield makes('embedding', `${dtype}-${label}`, exact, (w) => {
          const ids = w.indices('ids', [count], w.drawIndices('ids', count, 11));
          return embedding(w.weight('table', [11, width], dtype), ids);
        });
      }
      yield makes('gatherRows', label, exact, (w) => {
        const index = w.indices('index', [count], w.drawIndices('index', count, 9));
        return gatherRows(w.floats('x', [9, width]), index);
      });
      yield makes('replaceRows', label, exact, (w) => {
        // Distinct targets, one of them left out.
        const target = Array.from({ length: count }, (_, n) => (n === 1 ? -1 : (n * 5) % 23));
        return replaceRows(
          w.floats('x', [23, width]),
          w.floats('rows', [count, width]),
          w.indices('target', [count], target),
        );
      });
      yield makes('replaceRowsGradient', label, exact, (w) => {
        // Several for one row, of which only the last gets it.
        const target = Array.from({ length: count }, (_, n) => (n === 1 ? -1 : (n * 5) % 11));
        return replaceRowsGradient(w.floats('dy', [23, width]), w.indices('target', [count], target));
      });
    }
  }
  yield makes('embedding', 'two-axes', exact, (w) =>
    embedding(w.weight('table', [5, 3]), w.indices('ids', [2, 3], [4, 0, 1, 1, 2, 3])),
  );
}

function* shapeCases(): Generator<CaseMaker> {
  const joined = [
    { axis: 0, shapes: [[3, 5], [1, 5], [0, 5]] },
    { axis: 1, shapes: [[2, 3, 7], [2, 1, 7], [2, 9, 7]] },
    { axis: 2, shapes: [[2, 3, 17], [2, 3, 1], [2, 3, 16]] },
    { axis: 3, shapes: [[1, 4, 4, 33], [1, 4, 4, 31]] },
    { axis: 0, shapes: [[65]] },
  ]; // prettier-ignore
  for (const { axis, shapes } of joined) {
    yield makes('concat', `axis-${axis}-${shapes.map((shape) => shape.join('x')).join('+')}`, exact, (w) =>
      concat(
        shapes.map((shape, index) => w.floats(`x${index}`, shape)),
        axis,
      ),
    );
  }
  for (const [axis, start, length] of [
    [0, 1, 2],
    [1, 0, 65],
    [1, 64, 1],
    [1, 3, 0],
    [2, 5, 17],
  ] as const) {
    yield makes('slice', `axis-${axis}-${start}-${length}`, exact, (w) =>
      slice(w.floats('x', [3, 65, 33]), { axis, start, length }),
    );
  }
  for (const shape of [[6, 35], [2, 3, 5, 7], [210], [1, 210, 1]]) {
    yield makes('reshape', shape.join('x'), oneRounding, (w) => {
      const view = reshape(w.floats('x', [14, 15]), shape);
      return { view, sum: add(view, w.floats('b', shape)) };
    });
  }
  const turned: readonly (readonly [readonly number[], readonly number[]])[] = [
    [[], []],
    [[17], [0]],
    [[17, 65], [1, 0]],
    [[0, 5], [1, 0]],
    [[3, 5, 33], [0, 2, 1]],
    [[3, 5, 33], [2, 0, 1]],
    [[2, 7, 4, 9], [0, 2, 1, 3]],
    [[2, 8, 8, 3], [0, 3, 1, 2]],
    [[2, 3, 2, 3, 2, 3], [5, 3, 1, 4, 2, 0]],
  ]; // prettier-ignore
  for (const [shape, axes] of turned) {
    yield makes('permute', `${shape.join('x')}-${axes.join('')}`, exact, (w) =>
      permute(w.floats('x', shape), axes),
    );
  }
  for (const [shape, height, width] of [
    [[1, 1, 1, 1], 3, 2],
    [[0, 2, 2, 3], 4, 4],
    [[2, 4, 5, 17], 8, 10],
    [[1, 3, 7, 4], 7, 3],
    [[1, 9, 9, 8], 4, 9],
  ] as const) {
    yield makes('upsampleNearest', `${shape.join('x')}-${height}x${width}`, exact, (w) =>
      upsampleNearest(w.floats('x', shape), { height, width }),
    );
  }
}

/** Cases of ops that move elements and compute nothing. */
export function* moveCases(): Generator<CaseMaker> {
  yield* rowCases();
  yield* shapeCases();
}
