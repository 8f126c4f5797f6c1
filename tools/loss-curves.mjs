// Training curves as one SVG: a panel per run, its losses over steps, on a logarithmic axis.

const panel = { width: 420, height: 244 };
const margin = { left: 52, right: 12, top: 42, bottom: 26 };
const inner = {
  width: panel.width - margin.left - margin.right,
  height: panel.height - margin.top - margin.bottom,
};
const inks = ['#1f5fbf', '#c2571a', '#2c8a4b', '#8a3fa0', '#777777'];
const mostPoints = 150;

const escaped = (text) =>
  text.replace(/[&<>"]/g, (each) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[each]);

/** Means of equal stretches, at most `mostPoints` of them, in four digits: they are kept in a file. */
function thinned(points) {
  const size = Math.ceil(points.length / mostPoints);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, index) => {
    const part = points.slice(index * size, (index + 1) * size);
    const mean = part.reduce((sum, { value }) => sum + value, 0) / part.length;
    return { step: part.at(-1).step, value: Number(mean.toPrecision(4)) };
  });
}

/** Parsed lines of a metrics.jsonl as curves: the loss, its terms and that of held-out data, apart from what has no positive values. */
export function curvesOf(metrics) {
  const names = [...new Set(metrics.flatMap((line) => Object.keys(line)))].filter((name) =>
    /^(?:loss|eval_loss$)/.test(name),
  );
  return names
    .map((name) => ({
      name,
      points: metrics
        .filter((line) => line[name] > 0)
        .map((line) => ({ step: line.step, value: line[name] })),
    }))
    .filter(({ points }) => points.length > 1)
    .map(({ name, points }) => ({ name, points: thinned(points) }));
}

function panelSvg(title, curves) {
  const points = curves.flatMap((curve) => curve.points);
  const lastStep = Math.max(...points.map(({ step }) => step));
  const low = Math.log10(Math.min(...points.map(({ value }) => value))) - 0.02;
  const high = Math.log10(Math.max(...points.map(({ value }) => value))) + 0.02;
  const x = (step) => (margin.left + (inner.width * step) / lastStep).toFixed(1);
  const y = (log) => (margin.top + inner.height * (1 - (log - low) / (high - low))).toFixed(1);
  const right = panel.width - margin.right;
  const grid = Array.from({ length: 5 }, (_, index) => low + ((high - low) * index) / 4).map(
    (log) =>
      `<line x1="${margin.left}" x2="${right}" y1="${y(log)}" y2="${y(log)}" stroke="#dddddd"/>` +
      `<text x="${margin.left - 5}" y="${y(log)}" dy="4" text-anchor="end">${Number((10 ** log).toPrecision(3))}</text>`,
  );
  const lines = curves.map(({ points: line }, index) => {
    const path = line.map(({ step, value }) => `${x(step)},${y(Math.log10(value))}`).join(' ');
    return `<polyline points="${path}" fill="none" stroke="${inks[index % inks.length]}" stroke-width="1.4"/>`;
  });
  const legend = curves.map(
    ({ name }, index) =>
      `<tspan fill="${inks[index % inks.length]}"${index > 0 ? ' dx="8"' : ''}>${escaped(name)}</tspan>`,
  );
  const bottom = panel.height - 8;
  return [
    `<text x="${margin.left}" y="16" font-weight="bold">${escaped(title)}</text>`,
    `<text x="${margin.left}" y="32">${legend.join('')}</text>`,
    ...grid,
    ...lines,
    `<text x="${margin.left}" y="${bottom}">step 0</text>`,
    `<text x="${right}" y="${bottom}" text-anchor="end">${lastStep}</text>`,
  ].join('\n');
}

/** runs: `{ title, curves }`, from `curvesOf`. Two panels stand side by side. */
export function lossCurvesSvg(runs) {
  const drawn = runs.filter(({ curves }) => curves.length > 0);
  const columns = Math.min(2, Math.max(1, drawn.length));
  const [width, height] = [
    columns * panel.width,
    Math.max(1, Math.ceil(drawn.length / columns)) * panel.height,
  ];
  const panels = drawn.map(
    ({ title, curves }, index) =>
      `<g transform="translate(${(index % columns) * panel.width} ${Math.floor(index / columns) * panel.height})">\n` +
      `${panelSvg(title, curves)}\n</g>`,
  );
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `font-family="sans-serif" font-size="11" fill="#222222">\n<rect width="${width}" height="${height}" fill="#ffffff"/>\n` +
    `${panels.join('\n')}\n</svg>\n`
  );
}
