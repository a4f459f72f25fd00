/** The value that `share` of the numbers do not exceed (nearest rank). */
export function percentile(numbers, share) {
  if (numbers.length === 0) return NaN;
  const sorted = Float64Array.from(numbers).sort();
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

export const largest = (numbers) => numbers.reduce((most, number) => Math.max(most, number), -Infinity);

/** The distances between all pairs of numbers. */
export function distances(numbers) {
  const found = [];
  numbers.forEach((one, at) => numbers.slice(at + 1).forEach((other) => found.push(Math.abs(one - other))));
  return found;
}

/** Runs `trial` for each seed from 1 to `seeds`, and gives what they returned. */
export async function trials(seeds, trial) {
  const results = [];
  for (let seed = 1; seed <= seeds; seed += 1) results.push(await trial(seed));
  return results;
}
