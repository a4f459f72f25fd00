import { trials } from '../world/measure.js';
import { anyMachine, openRoom } from './people.js';

const LIMIT = 40_000;

/**
 * A film that is suddenly a second ahead or behind.
 *
 * @returns {Promise<{took: number, seeks: number, left: number}[]>} how many ms it took until the controller was
 *   content again, its seeks, and how many ms the film then truly was away, beyond what it can't know: the error of
 *   its clock, and where between two steps the player is
 */
export function catchUps({ seeds, slip = 1, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [viewer] } = await openRoom(seed, {
      count: 1,
      line: (random) => ({ roundTrip: random.uniform(20, 200), upShare: random.uniform(0.25, 0.75) }),
      machine: anyMachine,
      viewer: { library },
    });
    viewer.room.play(100);
    await world.run(20_000);
    const sought = viewer.player.seeks.length;
    viewer.player.slip(seed % 2 ? slip : -slip);
    const begin = world.time;
    await world.run(500);
    while (!isContent(viewer) && world.time - begin < LIMIT) await world.run(50);
    return {
      took: world.time - begin,
      seeks: viewer.player.seeks.length - sought,
      left: Math.max(0, Math.abs(viewer.ahead * 1000) - viewer.clock.bound - viewer.player.step / 2),
    };
  });
}

const isContent = ({ drift, player }) => drift.state === 'playing' && player.playbackRate === 1;
