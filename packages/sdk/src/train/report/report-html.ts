import type { TrainingSample } from '../task.js';
import { curveSvg, escapeHtml, numberText, type Curve } from './curve.js';

export interface ReportContent {
  readonly title: string;
  readonly metrics: readonly Readonly<Record<string, number>>[];
  readonly samples: readonly { readonly step: number; readonly samples: readonly TrainingSample[] }[];
  /** The recipe as it was resolved. */
  readonly recipe: string;
}

/** Curves of these come first and are drawn whenever they are there; the losses stand before them. */
const otherCurves = ['grad_norm', 'learning_rate', 'tokens_per_second', 'samples_per_second'];
/** Totals need no curve. */
const totals: ReadonlySet<string> = new Set(['step', 'samples', 'tokens', 'images', 'seconds']);
const shownSampleSteps = 6;

const style = `
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1360px; padding: 0 1rem; color: #1c2330; background: #fff; }
h1, h2, h3 { line-height: 1.2; } figure { margin: 0; } figcaption { font-weight: 600; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(420px, 1fr)); gap: 1.5rem; }
.samples { display: flex; flex-wrap: wrap; gap: 1rem; } .samples figure { max-width: 260px; }
.samples img { width: 128px; image-rendering: pixelated; display: block; }
.samples figcaption { font-weight: 400; font-size: 13px; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: currentColor; }
.grid { stroke: #8884; } .line { fill: none; stroke: #2563eb; stroke-width: 1.6; }
pre { background: #8881; padding: 1rem; overflow: auto; } table { border-collapse: collapse; } td, th { padding: .15rem .8rem .15rem 0; text-align: left; }
@media (prefers-color-scheme: dark) { body { color: #dfe5ee; background: #12161d; } .line { stroke: #7aa7ff; } }
`;

/** A page that needs nothing else: curves as inline SVG, pictures as data URIs. */
export function reportHtml({ title, metrics, samples, recipe }: ReportContent): string {
  const curves = curvesOf(metrics);
  const figures = curves.map(
    (curve) => `<figure><figcaption>${escapeHtml(curve.name)}</figcaption>${curveSvg(curve)}</figure>`,
  );
  const steps = spread(samples, shownSampleSteps).map(
    ({ step, samples: made }) =>
      `<h3>step ${step}</h3><div class="samples">${made.map(sampleFigure).join('')}</div>`,
  );
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>${escapeHtml(title)}</title><style>${style}</style></head><body>`,
    `<h1>${escapeHtml(title)}</h1>`,
    summaryTable(curves, metrics),
    `<h2>Curves</h2><div class="curves">${figures.join('')}</div>`,
    steps.length > 0 ? `<h2>Samples</h2>${steps.reverse().join('')}` : '',
    `<h2>Recipe</h2><pre>${escapeHtml(recipe)}</pre>`,
    '</body></html>\n',
  ].join('\n');
}

/** Every metric but the totals: losses first, then the usual ones, then what a task adds. */
function curvesOf(metrics: ReportContent['metrics']): readonly Curve[] {
  const names = new Set(metrics.flatMap((line) => Object.keys(line)));
  const isLoss = (name: string): boolean => /^(eval_)?loss(\.|$)/.test(name);
  const order = (name: string): number => (isLoss(name) ? 0 : otherCurves.includes(name) ? 1 : 2);
  return [...names]
    .filter((name) => !totals.has(name))
    .sort((a, b) => order(a) - order(b))
    .map((name) => ({
      name,
      points: metrics.flatMap((line) => {
        const value = line[name];
        return value === undefined ? [] : [{ step: line['step'] ?? 0, value }];
      }),
    }));
}

function summaryTable(curves: readonly Curve[], metrics: ReportContent['metrics']): string {
  const latest: Readonly<Record<string, number>> = Object.assign({}, ...metrics) as Record<string, number>;
  const rows = curves.map(({ name, points }) => {
    const [first, last] = [points[0]?.value ?? NaN, points.at(-1)?.value ?? NaN];
    return `<tr><td>${escapeHtml(name)}</td><td>${numberText(first)}</td><td>${numberText(last)}</td></tr>`;
  });
  const sums = [...totals]
    .filter((name) => latest[name] !== undefined)
    .map((name) => `${name} ${numberText(latest[name] ?? 0)}`);
  return `<p>${escapeHtml(sums.join(' · '))}</p><table><tr><th>metric</th><th>first</th><th>last</th></tr>${rows.join('')}</table>`;
}

function sampleFigure(sample: TrainingSample): string {
  const caption = `<figcaption>${escapeHtml(sample.prompt)}</figcaption>`;
  if (sample.kind === 'text') return `<figure>${caption}<p>${escapeHtml(sample.text)}</p></figure>`;
  const data = Buffer.from(sample.png).toString('base64');
  return `<figure><img alt="${escapeHtml(sample.name)}" src="data:image/png;base64,${data}">${caption}</figure>`;
}

/** At most `count` items, evenly spread, the last one always among them. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  const at = (index: number): number => Math.round(((index + 1) * items.length) / count) - 1;
  return Array.from({ length: count }, (_, index) => items[at(index)]).filter((item) => item !== undefined);
}
