import assert from 'node:assert/strict';
import test from 'node:test';

import { PROMISES } from './promises.js';
import { steadyDrift } from './scenarios/steady.js';
import { assertKept, SEEDS } from './support.js';

test('a film that runs stays together on ordinary lines, and hardly ever changes its speed', async (t) => {
  const { drifts, corrections, seeks, untold } = await steadyDrift({ seeds: SEEDS, jitter: 20 });

  assertKept(t, PROMISES.driftAt20, drifts);
  assertKept(t, PROMISES.correctionsInMinute, corrections);
  assertKept(t, PROMISES.untoldDrift, untold);
  assert.equal(seeks, 0);
});

test('a film that runs stays together on lines that are hardly usable', async (t) => {
  const { drifts, corrections, seeks, untold } = await steadyDrift({ seeds: SEEDS, jitter: 200, loss: 0.05 });

  assertKept(t, PROMISES.driftAt200, drifts);
  assertKept(t, PROMISES.correctionsInMinute, corrections);
  assertKept(t, PROMISES.untoldDrift, untold);
  assert.equal(seeks, 0);
});
