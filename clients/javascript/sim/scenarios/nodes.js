import { largest, trials } from '../world/measure.js';
import { openRoom, watch } from './people.js';

/**
 * The node of all viewers dies while the film runs; they come back through another one, whose clock is a few
 * milliseconds off.
 *
 * @returns {Promise<{before: number, after: number, seeks: number, stops: number}[]>} the largest distance in ms from
 *   the room in the half minute before and after, and what the player had to suffer
 */
export function nodeChanges({ seeds, library }) {
  return trials(seeds, async (seed) => {
    const { world, room, viewers } = await openRoom(seed, { server: { nodeErrors: [0, 3] }, viewer: { library } });
    const viewer = viewers[1];
    viewers[0].room.play(0);
    await world.run(30_000);
    const away = () => Math.abs(viewer.ahead * 1000);
    const before = largest(await watch(world, 30_000, 250, away));
    const { seeks, starts } = viewer.player;
    const had = [seeks.length, starts.length];
    for (const one of viewers) one.node = 1;
    room.kill(0);
    const after = largest(await watch(world, 30_000, 250, away));
    return { before, after, seeks: seeks.length - had[0], stops: starts.length - had[1] };
  });
}
