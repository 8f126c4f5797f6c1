/** Points of one metric, in order of steps. */
export interface Curve {
  readonly name: string;
  readonly points: readonly { readonly step: number; readonly value: number }[];
}

const size = { width: 640, height: 220 };
const margin = { left: 64, right: 12, top: 12, bottom: 28 };
const mostPoints = 800;
const gridLines = 4;

/** A curve as inline SVG: a line, four horizontal grid lines with numbers, first and last step. */
export function curveSvg({ name, points }: Curve): string {
  const shown = thinned(points.filter(({ value }) => Number.isFinite(value)));
  const first = shown[0];
  const last = shown.at(-1);
  if (first === undefined || last === undefined) return '';
  const { low, high } = range(shown.map(({ value }) => value));
  const inner = {
    width: size.width - margin.left - margin.right,
    height: size.height - margin.top - margin.bottom,
  };
  const x = (step: number): number =>
    margin.left + (inner.width * (step - first.step)) / Math.max(1, last.step - first.step);
  const y = (value: number): number => margin.top + inner.height * (1 - (value - low) / (high - low));
  const line = shown.map(({ step, value }) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(' ');
  const grid = Array.from({ length: gridLines + 1 }, (_, index) => low + ((high - low) * index) / gridLines)
    .map(
      (value) =>
        `<line class="grid" x1="${margin.left}" x2="${size.width - margin.right}" y1="${y(value).toFixed(1)}" ` +
        `y2="${y(value).toFixed(1)}"/><text x="${margin.left - 6}" y="${(y(value) + 4).toFixed(1)}" ` +
        `text-anchor="end">${numberText(value)}</text>`,
    )
    .join('');
  const bottom = size.height - 8;
  return (
    `<svg viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="${escapeHtml(name)}">${grid}` +
    `<polyline class="line" points="${line}"/>` +
    `<text x="${margin.left}" y="${bottom}">step ${first.step}</text>` +
    `<text x="${size.width - margin.right}" y="${bottom}" text-anchor="end">${last.step}</text></svg>`
  );
}

/** Means of equal stretches, so that a long run stays a small picture; first and last steps stay where they are. */
function thinned(points: Curve['points']): Curve['points'] {
  if (points.length <= mostPoints) return points;
  return Array.from({ length: mostPoints }, (_, index) => {
    const from = Math.floor((index * points.length) / mostPoints);
    const part = points.slice(from, Math.floor(((index + 1) * points.length) / mostPoints));
    const step = (index === 0 ? part[0] : part.at(-1))?.step ?? 0;
    return { step, value: part.reduce((sum, { value }) => sum + value, 0) / part.length };
  });
}

/** Lowest and highest value; a constant curve gets room around it. */
function range(values: readonly number[]): { readonly low: number; readonly high: number } {
  const low = values.reduce((least, value) => Math.min(least, value), Infinity);
  const high = values.reduce((most, value) => Math.max(most, value), -Infinity);
  const room = high > low ? 0 : Math.max(Math.abs(high) * 0.1, 1e-6);
  return { low: low - room, high: high + room };
}

/** Four digits at most, with an exponent where numbers are very small or large. */
export function numberText(value: number): string {
  const size = Math.abs(value);
  if (value === 0) return '0';
  if (size < 1e-3 || size >= 1e6) return value.toExponential(1);
  return size >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

/** Text as HTML shows it. */
export function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  };
  return text.replace(/[&<>"']/g, (character) => names[character] ?? character);
}
