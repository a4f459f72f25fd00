import { jitters } from '../world/link.js';
import { Server } from '../world/server.js';
import { Viewer } from '../world/viewer.js';
import { World } from '../world/world.js';

/** As far as the clocks of ordinary machines and their sound cards are off, in millionths. */
export const CLOCK_ERROR = 200;

/**
 * A machine as chance has it: clocks up to 200 millionths off, a player that starts 10 to 120 ms after play(), and a
 * browser that tells positions in steps of 1 to 40 ms.
 */
export function anyMachine(random) {
  return {
    clockError: random.uniform(-CLOCK_ERROR, CLOCK_ERROR),
    clockStep: random.pick([0.005, 0.1, 1]),
    player: {
      error: random.uniform(-CLOCK_ERROR, CLOCK_ERROR),
      startDelay: random.uniform(10, 100),
      startSpread: 5,
      seekDelay: [50, 400],
      step: random.pick([1, 10, 23, 40]),
      noise: random.uniform(0, 3),
    },
  };
}

/** The same, but from one play() to the next it may take anything between 10 and 120 ms: there is nothing to learn. */
export function moodyMachine(random) {
  const { player, ...machine } = anyMachine(random);
  return { ...machine, player: { ...player, startDelay: [10, 120], startSpread: 0 } };
}

/**
 * A line of everyday: 20 to 200 ms there and back, one way up to half as long again as the other.
 *
 * @param {import('../world/random.js').Random} random
 * @param {number[]} [upShares] the least and the most of the round trip that is the way up
 */
export function everydayLine(random, upShares = [0.4, 0.6]) {
  return {
    roundTrip: random.uniform(20, 200),
    upShare: random.uniform(...upShares),
    jitter: jitters.tail(random.uniform(1, 10)),
    loss: 0.002,
  };
}

/** The same, but one way takes up to three times as long as the other. */
export const lopsidedLine = (random) => everydayLine(random, [0.25, 0.75]);

/** A line whose one-way delay varies by `deviation` ms (standard deviation), in one of the two shapes. */
export function jitteryLine(random, deviation, loss = 0) {
  return {
    roundTrip: random.uniform(20, 200),
    upShare: random.uniform(0.4, 0.6),
    jitter: random.pick([jitters.tail, jitters.width])(deviation),
    loss,
  };
}

/**
 * A room with `count` viewers who have come in and have the film loaded.
 *
 * @param {number} seed
 * @param {object} options
 * @param {number} [options.count]
 * @param {(random: import('../world/random.js').Random) => object} [options.line]
 * @param {(random: import('../world/random.js').Random) => object} [options.machine]
 * @param {object} [options.server] see Server
 * @param {object} [options.viewer] more for each Viewer
 * @returns the room with its `viewers`; `meet()` makes one more, who is not in yet
 */
export async function openRoom(seed, { count = 2, line = everydayLine, machine = anyMachine, server, viewer } = {}) {
  const world = new World(seed);
  const { random } = world;
  const clockError = random.uniform(-CLOCK_ERROR, CLOCK_ERROR);
  const room = new Server(world, { epoch: 1_795_382_432_000 + random.uniform(0, 1000), clockError, ...server });
  const meet = () => new Viewer(world, room, { line: line(random), ...machine(random), ...viewer });
  const viewers = Array.from({ length: count }, meet);
  viewers.forEach((one) => world.after(random.uniform(0, 500), () => one.comeIn()));
  await world.run(8000);
  return { world, room, viewers, meet };
}

/** Looks every `period` ms for `duration`, and gives what `look` found each time. */
export async function watch(world, duration, period, look) {
  const found = [];
  for (let passed = 0; passed < duration; passed += period) {
    await world.run(period);
    found.push(look());
  }
  return found;
}
