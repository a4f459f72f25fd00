import assert from 'node:assert/strict';
import test from 'node:test';

import { PROMISES } from './promises.js';
import { catchUps } from './scenarios/catchup.js';
import { assertKept, SEEDS } from './support.js';

test('a film a second away comes back by speed alone', async (t) => {
  const found = await catchUps({ seeds: SEEDS, slip: 1 });

  assertKept(t, PROMISES.catchUp, found.map(({ took }) => took));
  assertKept(t, PROMISES.leftAfterCatchUp, found.map(({ left }) => left));
  assert.ok(found.every(({ seeks }) => seeks === 0));
});

test('a film two seconds away jumps, once', async (t) => {
  const found = await catchUps({ seeds: SEEDS, slip: 2 });

  assertKept(t, PROMISES.catchUp, found.map(({ took }) => took));
  assert.ok(found.every(({ seeks }) => seeks === 1));
});
