import { trials } from '../world/measure.js';
import { everydayLine, openRoom } from './people.js';

/**
 * Somebody comes into a film that has been running for a while.
 *
 * @returns {Promise<{away: number, seeks: number, disturbed: boolean}[]>} how many ms the newcomer is away from the room
 *   three seconds after the player could play, with how many seeks, and whether those who were there noticed
 */
export function lateJoiners({ seeds, line = everydayLine, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers: [host, other], meet } = await openRoom(seed, { line, viewer: { library } });
    host.room.play(0);
    await world.run(30_000 + world.random.uniform(0, 10_000));
    const before = [host, other].map(({ player }) => player.seeks.length);

    const late = meet();
    let canPlayAt = Infinity;
    late.player.addEventListener('canplay', () => { canPlayAt = Math.min(canPlayAt, world.time); });
    late.comeIn();
    await world.run(50);
    while (canPlayAt === Infinity) await world.run(10);
    await world.run(canPlayAt + 3000 - world.time);
    const away = Math.abs(late.ahead * 1000);
    return {
      away: late.player.isMoving ? away : Infinity,
      seeks: late.player.seeks.length,
      disturbed: [host, other].some(({ player }, at) => player.seeks.length > before[at]),
    };
  });
}
