import type { EmuError } from '@emu/program';
import { expect, it } from 'vitest';

import { ArrivingRequests, type ArrivingCall } from './arriving-requests.js';

it('ends the calls that began first when there is more than it holds, and no more of them than needed', () => {
  const arriving = new ArrivingRequests(100);
  const refused: string[] = [];
  const call = (name: string): ArrivingCall => ({
    refuse: ({ code }: EmuError) => void refused.push(`${name} ${code}`),
  });
  const [slow, second, third] = [call('slow'), call('second'), call('third')];
  arriving.received(slow, 30);
  arriving.received(second, 40);
  arriving.received(slow, 20);
  arriving.received(third, 10);
  expect([refused, arriving.bytes]).toEqual([[], 100]);
  arriving.received(third, 1);
  expect([refused, arriving.bytes]).toEqual([['slow QUEUE_FULL'], 51]);
  arriving.forget(second);
  arriving.forget(second);
  expect(arriving.bytes).toBe(11);
  arriving.received(third, 200);
  expect([refused, arriving.bytes]).toEqual([['slow QUEUE_FULL', 'third QUEUE_FULL'], 0]);
});
