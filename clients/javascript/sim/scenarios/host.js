import { trials } from '../world/measure.js';
import { openRoom } from './people.js';

/**
 * The host uses the player's own controls, as people do, instead of the page's.
 *
 * @returns {Promise<{actions: number, commands: number, aways: number[]}[]>} what the host did and what the library
 *   made of it, and the distance in ms of each viewer from the room three seconds after each
 */
export function hostsAtThePlayer({ seeds, library }) {
  return trials(seeds, async (seed) => {
    const { world, viewers } = await openRoom(seed, { count: 3, viewer: { role: 'COHOST', library } });
    const [host] = viewers;
    const { random } = world;
    const aways = [];
    // Never just a moment away, which is what streaming libraries do to a player, not people.
    const drag = () => {
      const { truth } = host.player;
      const to = random.uniform(300, 3000);
      host.player.currentTime = Math.abs(to - truth) < 10 ? to + 20 : to;
    };
    const deeds = [
      () => host.player.play().catch(() => {}),
      drag,
      () => host.player.pause(),
      drag,
      () => host.player.play().catch(() => {}),
      drag,
    ];
    for (const act of deeds) {
      act();
      await world.run(3000);
      aways.push(...viewers.map(({ ahead }) => Math.abs(ahead * 1000)));
      await world.run(random.uniform(3000, 6000));
    }
    return {
      actions: deeds.length,
      commands: viewers.reduce((sum, { commands }) => sum + commands.length, 0),
      aways,
    };
  });
}
