import { trials } from '../world/measure.js';
import { everydayLine, openRoom } from './people.js';

/**
 * A browser refuses to play for somebody who has not clicked yet; after some seconds he clicks.
 *
 * @returns {Promise<{state: string, away: number}[]>} what the controller said while it was refused, and how many ms he
 *   is away from the room three seconds after the click
 */
export function refusals({ seeds, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [host], meet } = await openRoom(seed, {
      count: 1, line: everydayLine, viewer: { library },
    });
    host.room.play(0);
    await world.run(10_000);
    const shy = meet();
    shy.player.refuse();
    shy.comeIn();
    await world.run(5000 + world.random.uniform(0, 5000));
    const { state } = shy.drift;
    shy.player.allow();
    shy.drift.unblock();
    await world.run(3000);
    return { state, away: shy.player.isMoving ? Math.abs(shy.ahead * 1000) : Infinity };
  });
}
