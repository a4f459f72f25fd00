import { trials } from '../world/measure.js';
import { openRoom } from './people.js';

/**
 * A browser refuses to play for somebody who has not clicked yet; after some seconds he clicks.
 *
 * @param {object} options
 * @param {boolean} [options.mutedStart] the page would rather begin without sound than not at all
 * @returns {Promise<{before: object, after: object}[]>} how it stood before the click, and three seconds after it: what
 *   the controller said, how many ms the film was from the room, and whether it was muted
 */
export function refusals({ seeds, library, mutedStart = false }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [host], meet } = await openRoom(seed, { count: 1, viewer: { library, mutedStart } });
    host.room.play(0);
    await world.run(10_000);
    const shy = meet();
    shy.player.refuse();
    shy.comeIn();
    await world.run(5000 + world.random.uniform(0, 5000));
    const before = look(shy);
    shy.player.allow();
    shy.drift.unblock();
    await world.run(3000);
    return { before, after: look(shy) };
  });
}

const look = ({ drift, player, ahead }) => ({
  state: drift.state,
  away: player.isMoving ? Math.abs(ahead * 1000) : Infinity,
  isMuted: player.muted,
});
