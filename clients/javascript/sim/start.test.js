import test from 'node:test';

import { PROMISES } from './promises.js';
import { startSkews, startSkewsOfRegulars } from './scenarios/start.js';
import { assertKept, SEEDS } from './support.js';

test('viewers start together', async (t) => {
  const { first, later } = await startSkews({ seeds: SEEDS });

  // An evening as a whole; then what is the hardest of it, machines on which nothing was ever played.
  assertKept(t, PROMISES.startSkew, [...first, ...later]);
  assertKept(t, PROMISES.startSkew, later);
  assertKept(t, PROMISES.firstStartSkew, first);
});

test('machines that have kept what a start takes are in time from the first one on', async (t) => {
  const { first } = await startSkewsOfRegulars({ seeds: SEEDS, plays: 3 });

  assertKept(t, PROMISES.startSkew, first);
});
