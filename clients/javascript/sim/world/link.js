/** The least time after which TCP sends again (Linux: 200 ms). */
const LEAST_RETRANSMIT = 200;
/** A line that loses this many in a row is given up by no simulated evening: the last one comes through. */
const MOST_TRIES = 6;

/**
 * One direction of a TCP connection. What is sent arrives in order and is never lost, only late: a lost segment
 * comes again after a timeout that doubles, and everything behind it waits for it.
 */
export class Link {
  #world;
  #random;
  #deliver;
  #shape;
  #earliest = 0;
  #isCut = false;

  /**
   * @param {object} shape
   * @param {number} shape.base milliseconds that every segment takes
   * @param {(random: import('./random.js').Random) => number} [shape.jitter] milliseconds on top of it
   * @param {number} [shape.loss] share of segments that are lost
   * @param {number} [shape.roundTrip] what TCP knows of the way there and back
   */
  constructor(world, shape, deliver) {
    this.#world = world;
    this.#random = world.random.fork();
    this.#shape = shape;
    this.#deliver = deliver;
  }

  send(frame) {
    if (this.#isCut) return;
    const { base, jitter, loss = 0, roundTrip = 2 * base } = this.#shape;
    let delay = base + (jitter ? jitter(this.#random) : 0);
    let timeout = Math.max(LEAST_RETRANSMIT, roundTrip + LEAST_RETRANSMIT);
    for (let lost = 0; lost < MOST_TRIES && this.#random.chance(loss); lost += 1) {
      delay += timeout;
      timeout *= 2;
    }
    this.#earliest = Math.max(this.#earliest, this.#world.time + delay);
    this.#world.at(this.#earliest, () => this.#isCut || this.#deliver(frame));
  }

  /** From now on nothing arrives, neither what is on its way. */
  cut() {
    this.#isCut = true;
  }
}

/**
 * Jitter by its standard deviation, in the two shapes that networks show: mostly short with a long tail (queues of
 * others), and anything within a width (Wi-Fi, radio schedulers), where the quickest answer is hard to come by.
 */
export const jitters = {
  tail: (deviation) => (random) => random.exponential(deviation),
  width: (deviation) => (random) => random.uniform(0, deviation * Math.sqrt(12)),
};

/**
 * The two directions of a line.
 *
 * @param {object} line
 * @param {number} line.roundTrip milliseconds there and back without jitter
 * @param {number} [line.upShare] how much of it is the way up: 0.5 is symmetric
 */
export function line({ roundTrip, upShare = 0.5, jitter, loss = 0 }) {
  const common = { jitter, loss, roundTrip };
  return { up: { base: roundTrip * upShare, ...common }, down: { base: roundTrip * (1 - upShare), ...common } };
}
