import { largest, trials } from '../world/measure.js';
import { openRoom, watch } from './people.js';

const HOUR = 3_600_000;

/**
 * While the film runs somebody sets a system clock forward by an hour: that of a viewer's machine, or the one that the
 * server's room time follows.
 *
 * @param {object} options
 * @param {'viewer'|'server'} options.whose
 * @returns {Promise<{away: number, seeks: number, stops: number}[]>} the largest distance in ms from the room within the
 *   next half minute, and what the player had to suffer
 */
export function clocksThatAreSet({ seeds, whose, library }) {
  return trials(seeds, async (seed) => {
    const { world, room, viewers: [viewer] } = await openRoom(seed, { viewer: { library } });
    viewer.room.play(0);
    await world.run(30_000 + world.random.uniform(0, 5000));
    const had = { seeks: viewer.player.seeks.length, starts: viewer.player.starts.length };
    if (whose === 'viewer') viewer.systemStep += HOUR;
    else room.setClock(HOUR);
    const aways = await watch(world, 30_000, 100, () => Math.abs(viewer.ahead * 1000));
    return {
      away: largest(aways),
      seeks: viewer.player.seeks.length - had.seeks,
      stops: viewer.player.starts.length - had.starts,
    };
  });
}
