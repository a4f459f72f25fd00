import assert from 'node:assert/strict';
import test from 'node:test';

import { PROMISES } from './promises.js';
import { CLOCK_ERROR } from './scenarios/people.js';
import { troubledEvenings } from './scenarios/trouble.js';
import { assertKept, SEEDS } from './support.js';

test('whatever goes wrong: at most a seek in five seconds, never too fast or too slow, and together in the end', async (t) => {
  const found = await troubledEvenings({ seeds: SEEDS });

  const gaps = found.flatMap(({ seekGaps }) => seekGaps);
  t.diagnostic(`${gaps.length} seeks, the quickest ${Math.min(...gaps).toFixed(0)} ms after another`);
  // Five seconds of the viewer's own clock, which may be fast.
  assert.ok(gaps.every((gap) => gap >= PROMISES.seekGap * (1 - CLOCK_ERROR / 1e6) - 1));
  const [slowest, fastest] = PROMISES.rates;
  assert.ok(found.every((evening) => evening.slowest >= slowest && evening.fastest <= fastest));
  assertKept(t, PROMISES.afterTrouble, found.map(({ away }) => away));
});
