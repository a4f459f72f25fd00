import assert from 'node:assert/strict';

import { judge } from './promises.js';

/** Enough evenings for a 99th percentile to mean something. */
export const SEEDS = 300;

/** Fails when `numbers` break the promise, and tells the figures either way. */
export function assertKept(t, promise, numbers) {
  const { isKept, words } = judge(promise, numbers);
  t.diagnostic(`${words}, of ${numbers.length}`);
  assert.ok(isKept, words);
}

/** Fails when `numbers` keep the promise although something was broken on purpose: then the simulator is blind. */
export function assertNoticed(t, promise, numbers) {
  const { isKept, words } = judge(promise, numbers);
  t.diagnostic(`broken on purpose: ${words}`);
  assert.ok(!isKept, `nobody noticed: ${words}`);
}
