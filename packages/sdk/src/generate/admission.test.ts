import { describe, expect, it } from 'vitest';

import { Admission } from './admission.js';

describe('admission to the key/value cache', () => {
  it('lets calls in, in their order, when their whole need fits', async () => {
    const admission = new Admission({ slots: 4, pages: 10 });
    const leaveFirst = await admission.enter({ slots: 3, pages: 4 });
    const order: string[] = [];
    const big = admission.enter({ slots: 2, pages: 8 }).then((leave) => (order.push('big'), leave));
    const small = admission.enter({ slots: 1, pages: 1 }).then((leave) => (order.push('small'), leave));
    await Promise.resolve();
    expect([order, admission.queueLength]).toEqual([[], 2]); // small fits, and waits for its turn
    leaveFirst();
    leaveFirst(); // a second time gives nothing back
    await Promise.all([big, small]);
    expect(order).toEqual(['big', 'small']);
    (await big)();
    (await small)();
    await admission.enter({ slots: 4, pages: 10 });
  });

  it('refuses what can never fit, and forgets a call that was aborted', async () => {
    const admission = new Admission({ slots: 2, pages: 4 });
    await expect(admission.enter({ slots: 3, pages: 1 })).rejects.toThrow(
      '[kv cache] the call needs 3 sequences and 1 pages, the cache has 2 and 4',
    );
    const leave = await admission.enter({ slots: 2, pages: 1 });
    const controller = new AbortController();
    const waiting = admission.enter({ slots: 2, pages: 4 }, { signal: controller.signal });
    const next = admission.enter({ slots: 1, pages: 1 });
    controller.abort(new Error('gone'));
    await expect(waiting).rejects.toThrow('gone');
    leave();
    await next;
    expect(admission.queueLength).toBe(0);
  });

  it('gives clients turns, whatever the length of their lines', async () => {
    const admission = new Admission({ slots: 1, pages: 1 });
    let leave = await admission.enter({ slots: 1, pages: 1 });
    const order: string[] = [];
    const call = (client: string, name: string): Promise<void> =>
      admission.enter({ slots: 1, pages: 1 }, { client }).then((left) => {
        order.push(name);
        leave = left;
      });
    const calls = [call('a', 'a1'), call('a', 'a2'), call('a', 'a3'), call('b', 'b1'), call('c', 'c1')];
    for (const each of ['a1', 'b1', 'c1', 'a2', 'a3']) {
      leave();
      await new Promise(setImmediate);
      expect(order.at(-1)).toBe(each);
    }
    await Promise.all(calls);
  });

  it('has a bound, and says so', async () => {
    const admission = new Admission({ slots: 1, pages: 1 }, 1);
    const leave = await admission.enter({ slots: 1, pages: 1 });
    const waiting = admission.enter({ slots: 1, pages: 1 });
    await expect(admission.enter({ slots: 1, pages: 1 })).rejects.toThrow(
      '[kv cache] 1 calls wait already, which is the limit',
    );
    expect(admission.held).toEqual({ slots: 1, pages: 1 });
    leave();
    (await waiting)();
    expect(admission.held).toEqual({ slots: 0, pages: 0 });
  });
});
