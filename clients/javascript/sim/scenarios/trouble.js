import { trials } from '../world/measure.js';
import { jitteryLine, openRoom } from './people.js';

/**
 * Ten minutes in which everything goes wrong that can: the film stalls, jumps, the line is cut, the tab hides.
 *
 * @returns {Promise<{seekGaps: number[], slowest: number, fastest: number, away: number}[]>} the ms between one seek and
 *   the next, the extremes of speed, and how far the film is from the room when there was peace for 40 s
 */
export function troubledEvenings({ seeds, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [viewer] } = await openRoom(seed, {
      count: 1, line: (random) => jitteryLine(random, 50, 0.02), viewer: { library },
    });
    const { random } = world;
    viewer.room.play(600);
    await world.run(10_000);
    const begun = viewer.player.seeks.length;
    for (let passed = 0; passed < 600_000;) {
      trouble(world, viewer, random);
      const pause = random.exponential(6000);
      await world.run(pause);
      passed += pause;
    }
    viewer.hide(false);
    await world.run(40_000);
    const seeks = viewer.player.seeks.slice(begun).map(({ time }) => time);
    return {
      seekGaps: seeks.slice(1).map((time, at) => time - seeks[at]),
      slowest: viewer.player.slowest,
      fastest: viewer.player.fastest,
      away: Math.abs(viewer.ahead * 1000),
    };
  });
}

function trouble(world, viewer, random) {
  const kind = random.next();
  if (kind < 0.4) viewer.player.stall(random.uniform(100, 6000));
  else if (kind < 0.7) viewer.player.slip(random.uniform(-5, 5));
  else if (kind < 0.85) viewer.hide(!viewer.document.hidden);
  else {
    viewer.cutLine();
    world.after(random.uniform(500, 5000), () => viewer.mendLine());
  }
}
