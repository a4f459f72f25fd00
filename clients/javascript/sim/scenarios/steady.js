import { distances, trials } from '../world/measure.js';
import { jitteryLine, openRoom, watch } from './people.js';

/** How long a film runs before its drift is called steady. */
const SETTLED = 30_000;

/**
 * A film that simply runs for two minutes, on lines whose delay varies by `jitter` ms.
 *
 * @returns {Promise<{drifts: number[], corrections: number[], seeks: number, untold: number[]}>} distances between two
 *   viewers in ms; for each viewer how often in a minute it left its normal speed; and by how many ms the drift that is
 *   shown was wrong, beyond the bound that is shown and the player's own steps
 */
export async function steadyDrift({ seeds, jitter, loss = 0, count = 3, thresholds, library }) {
  const evenings = await trials(seeds, async (seed) => {
    const { world, viewers } = await openRoom(seed, {
      count, line: (random) => jitteryLine(random, jitter, loss), server: { thresholds }, viewer: { library },
    });
    viewers[0].room.play(10);
    await world.run(SETTLED);
    const changed = viewers.map(({ player }) => player.corrections);
    const sought = viewers.map(({ player }) => player.seeks.length);
    const untold = [];
    const drifts = await watch(world, 120_000, 500, () => {
      // What is shown together has to be of one moment; an exchange may have come since the controller looked.
      viewers.forEach(({ drift }) => drift.step());
      untold.push(...viewers.map(({ ahead, drift, clock, player }) => (
        Math.max(0, Math.abs(drift.drift - ahead) * 1000 - clock.bound - player.step)
      )));
      return distances(viewers.map(({ ahead }) => ahead * 1000));
    });
    return {
      drifts: drifts.flat(),
      untold,
      corrections: viewers.map(({ player }, at) => (player.corrections - changed[at]) / 2),
      seeks: viewers.reduce((sum, { player }, at) => sum + player.seeks.length - sought[at], 0),
    };
  });
  return {
    drifts: evenings.flatMap(({ drifts }) => drifts),
    untold: evenings.flatMap(({ untold }) => untold),
    corrections: evenings.flatMap(({ corrections }) => corrections),
    seeks: evenings.reduce((sum, { seeks }) => sum + seeks, 0),
  };
}
