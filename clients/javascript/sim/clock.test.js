import assert from 'node:assert/strict';
import test from 'node:test';

import { PROMISES } from './promises.js';
import { clockErrors } from './scenarios/clock.js';
import { clocksThatAreSet } from './scenarios/settings.js';
import { assertKept, SEEDS } from './support.js';
import { largest, percentile } from './world/measure.js';

test('the true clock error is inside the stated bound, always', async (t) => {
  const looks = await clockErrors({ seeds: SEEDS });

  const outside = looks.filter(({ error, bound }) => !(Math.abs(error) <= bound));
  const errors = looks.map(({ error }) => Math.abs(error));
  t.diagnostic(`${looks.length} looks, error p95 ${percentile(errors, 0.95).toFixed(1)} ms, most ${largest(errors).toFixed(1)} ms, `
    + `bound p50 ${percentile(looks.map(({ bound }) => bound), 0.5).toFixed(1)} ms`);
  assert.equal(outside.length, 0, `${outside.length} outside, the first: ${JSON.stringify(outside[0])}`);
});

for (const whose of ['viewer', 'server']) {
  test(`the system clock of a ${whose} is set by an hour, and no film stops or jumps`, async (t) => {
    const found = await clocksThatAreSet({ seeds: SEEDS, whose });

    assertKept(t, PROMISES.whileClocksAreSet, found.map(({ away }) => away));
    assert.ok(found.every(({ seeks, stops }) => seeks === 0 && stops === 0));
  });
}
