/**
 * Chance that repeats: the same seed gives the same evening.
 */
export class Random {
  #state;

  /** @param {number} seed any integer; neighbours give unrelated sequences */
  constructor(seed) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
    for (let warm = 0; warm < 4; warm += 1) this.next();
  }

  /** A number in [0, 1): mulberry32, which is small and good enough for delays. */
  next() {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** A number in [low, high). */
  uniform(low, high) {
    return low + (high - low) * this.next();
  }

  /** A number of 0 and more, small ones likely; `mean` is also its standard deviation. */
  exponential(mean) {
    return -mean * Math.log(1 - this.next());
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[Math.floor(this.next() * list.length)];
  }

  /** Another sequence, so that one part of the world does not shift the chance of the others. */
  fork() {
    return new Random(Math.floor(this.next() * 4294967296));
  }
}
