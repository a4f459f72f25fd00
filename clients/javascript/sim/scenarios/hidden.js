import { trials } from '../world/measure.js';
import { openRoom } from './people.js';

/**
 * A tab goes to the background for a minute, where timers come once a second and the film falls behind or stops, and
 * comes back.
 *
 * @returns {Promise<{away: number, seeks: number}[]>} how many ms it is away five seconds after it is back, and the
 *   seeks of those five seconds
 */
export function comingsBack({ seeds, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [viewer] } = await openRoom(seed, { count: 1, viewer: { library } });
    viewer.room.play(0);
    await world.run(20_000);
    viewer.hide(true);
    await world.run(50_000);
    // Browsers save what they can of a page that nobody sees.
    if (seed % 2) viewer.player.stall(world.random.uniform(2000, 9000));
    await world.run(10_000);
    const sought = viewer.player.seeks.length;
    viewer.hide(false);
    await world.run(5000);
    return { away: Math.abs(viewer.ahead * 1000), seeks: viewer.player.seeks.length - sought };
  });
}
