import { distances, trials } from '../world/measure.js';
import { anyMachine, openRoom } from './people.js';

/**
 * The host presses play and pause all evening; how far apart do the viewers start? The start of a viewer is the moment
 * at which the film would have stood where the host began it, had it run all the time: somebody who starts late, but as
 * much further on, is not late.
 *
 * @returns {Promise<{first: number[], later: number[], settled: number[]}>} distances between two viewers, in ms: of
 *   each machine's first start, when nobody knows yet how long it needs; of those after it; and three seconds after each
 */
export async function startSkews({ seeds, plays = 8, ...options }) {
  return together(await trials(seeds, (seed) => evening(seed, plays, options)));
}

/** The same for machines that were there the evening before, and kept what they learnt. */
export async function startSkewsOfRegulars({ seeds, plays = 8, ...options }) {
  return together(await trials(seeds, async (seed) => {
    const machines = [];
    const newcomer = (random) => {
      machines.push({ ...anyMachine(random), storage: keeper() });
      return machines.at(-1);
    };
    await evening(2 * seed, plays, { ...options, machine: newcomer });
    return evening(2 * seed + 1, plays, { ...options, machine: () => machines.shift() });
  }));
}

function keeper() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

async function evening(seed, plays, { line, machine, server, library, count = 4 }) {
  const { world, room, viewers } = await openRoom(seed, { count, line, machine, server, viewer: { library } });
  const skews = [];
  const settled = [];
  for (let play = 0; play < plays; play += 1) {
    const begun = viewers.map(({ player }) => player.starts.length);
    viewers[0].room.play();
    await world.run(3000 + room.lead);
    settled.push(distances(viewers.map(({ ahead }) => ahead * 1000)));
    await world.run(world.random.uniform(2000, 5000));
    const { time } = room.state;
    skews.push(distances(viewers.map(({ player }, at) => {
      const start = player.starts[begun[at]];
      return start ? start.time - (start.position - time) * 1000 : Infinity;
    })));
    viewers[0].room.pause();
    await world.run(world.random.uniform(3000, 5000));
  }
  return { first: skews[0], later: skews.slice(1).flat(), settled: settled.flat() };
}

function together(evenings) {
  return {
    first: evenings.flatMap(({ first }) => first),
    later: evenings.flatMap(({ later }) => later),
    settled: evenings.flatMap((evening) => evening.settled),
  };
}
