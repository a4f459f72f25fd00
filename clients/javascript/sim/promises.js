import { percentile } from './world/measure.js';

/** What docs/sync.md promises, in milliseconds unless the name says otherwise. */
export const PROMISES = {
  startSkew: { p95: 50, p99: 120 },
  firstStartSkew: { p99: 120 },
  driftAt20: { p95: 80 },
  driftAt200: { p95: 150 },
  // The noise of a player's position.
  untoldDrift: { p100: 3 },
  correctionsInMinute: { p95: 3 },
  catchUp: { p100: 25_000 },
  leftAfterCatchUp: { p100: 20 },
  late: { p100: 100 },
  afterCommand: { p99: 80 },
  afterHidden: { p99: 100 },
  afterClick: { p99: 100 },
  whileClocksAreSet: { p99: 80 },
  afterTrouble: { p99: 80 },
  seekGap: 5000,
  rates: [0.95, 1.05],
};

/**
 * Whether numbers keep a promise, and what they are.
 *
 * @param {{[percentile: string]: number}} promise the most that each percentile may be
 * @param {number[]} numbers
 */
export function judge(promise, numbers) {
  const found = Object.keys(promise).map((name) => [name, percentile(numbers, Number(name.slice(1)) / 100)]);
  return {
    isKept: numbers.length > 0 && found.every(([name, value]) => value <= promise[name]),
    words: found.map(([name, value]) => `${name} ${value.toFixed(1)} (at most ${promise[name]})`).join(', '),
  };
}
