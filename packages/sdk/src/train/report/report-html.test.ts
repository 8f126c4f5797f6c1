import { describe, expect, it } from 'vitest';

import { curveSvg } from './curve.js';
import { reportHtml } from './report-html.js';

const metrics = Array.from({ length: 50 }, (_, index) => ({
  step: 10 * (index + 1),
  loss: 3 - index / 20,
  'loss.text': 2 - index / 30,
  grad_norm: 1,
  tokens: 100 * index,
}));

describe('a curve', () => {
  it('goes from the first step to the last, top to bottom', () => {
    const svg = curveSvg({ name: 'loss', points: metrics.map(({ step, loss }) => ({ step, value: loss })) });
    const points = /points="([^"]*)"/.exec(svg)?.[1]?.split(' ') ?? [];
    expect(points).toHaveLength(50);
    expect(points[0]).toBe('64.0,12.0');
    expect(points.at(-1)).toBe('628.0,192.0');
    expect(svg).toContain('>step 10<');
    expect(svg).toContain('>500<');
  });

  it('is thinned to means when it is long, and empty without a finite number', () => {
    const points = Array.from({ length: 100_000 }, (_, step) => ({ step, value: step % 2 }));
    const svg = curveSvg({ name: 'x', points });
    expect(svg.length).toBeLessThan(20_000);
    expect(curveSvg({ name: 'x', points: [{ step: 1, value: NaN }] })).toBe('');
    expect(curveSvg({ name: 'x', points: [] })).toBe('');
  });

  it('takes a constant', () => {
    const svg = curveSvg({ name: 'x', points: [1, 2].map((step) => ({ step, value: 0 })) });
    expect(svg).not.toContain('NaN');
  });
});

describe('a report', () => {
  const html = reportHtml({
    title: 'run <1>',
    metrics,
    samples: Array.from({ length: 9 }, (_, index) => ({
      step: index + 1,
      samples: [{ kind: 'text', name: 'a', prompt: 'a "red" & blue <square>', text: `said ${index + 1}` }],
    })),
    recipe: 'stage: unified # default\n',
  });

  it('shows every metric but the totals, losses first', () => {
    const names = [...html.matchAll(/<figure><figcaption>([^<]+)<\/figcaption><svg/g)].map(
      ([, name]) => name,
    );
    expect(names).toEqual(['loss', 'loss.text', 'grad_norm']);
    expect(html).toContain('<tr><td>loss</td><td>3</td><td>0.55</td></tr>');
    expect(html).toContain('tokens 4900');
  });

  it('keeps text from being markup', () => {
    expect(html).toContain('<h1>run &lt;1&gt;</h1>');
    expect(html).toContain('a &quot;red&quot; &amp; blue &lt;square&gt;');
  });

  it('shows a few of many steps, the newest first', () => {
    const steps = [...html.matchAll(/<h3>step (\d+)<\/h3>/g)].map(([, step]) => Number(step));
    expect(steps).toEqual([9, 8, 6, 5, 3, 2]);
  });
});
