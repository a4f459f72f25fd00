import { jitters } from '../world/link.js';
import { trials } from '../world/measure.js';
import { anyMachine, openRoom, watch } from './people.js';

/** Lines that lie about the time in every way that a line can. */
const LINES = [
  { roundTrip: 20, jitter: jitters.tail(2) },
  { roundTrip: 200, upShare: 0.05, jitter: jitters.tail(10) },
  { roundTrip: 200, upShare: 0.95, jitter: jitters.width(20) },
  { roundTrip: 0.2, jitter: jitters.tail(0.1) },
  { roundTrip: 120, upShare: 0.8, jitter: jitters.tail(200), loss: 0.05 },
  { roundTrip: 120, upShare: 0.2, jitter: jitters.width(200), loss: 0.05 },
];
const HOUR = 3_600_000;

/**
 * The estimate of the room's clock against the truth, all along ten minutes in which this machine's system clock is
 * set forward and back by an hour, and the network is away for a minute and a half.
 */
export async function clockErrors({ seeds, library }) {
  const found = await trials(seeds, async (seed) => {
    const line = LINES[seed % LINES.length];
    const { world, viewers: [viewer] } = await openRoom(seed, {
      count: 1, line: () => line, machine: anyMachine, viewer: { library },
    });
    const look = () => ({ ...viewer.clockError, roundTrip: line.roundTrip });
    const found = [await watch(world, 150_000, 500, look)];
    for (const step of [HOUR, -HOUR]) {
      viewer.systemStep += step;
      found.push(await watch(world, 120_000, 500, look));
    }
    viewer.cutLine();
    found.push(await watch(world, 90_000, 500, look));
    viewer.mendLine();
    found.push(await watch(world, 120_000, 500, look));
    return found.flat();
  });
  return found.flat();
}
