/** Evenings at random: whatever happens to a player, it is nobody's command, and it ends up where the film is. */
import { cinema } from './fakes/cinema.js';
import { assert, randomFrom, test } from './harness.js';

const LENGTH = 300;

/** What may happen, by name. Each gets the room, and chance. */
const HAPPENINGS = {
  play: (room, random) => room.play(random() * 250, 150 + random() * 1_300),
  pause: (room, random) => room.pause(random() * LENGTH),
  hold: (room, random) => room.pause(random() * 250, { held: true }),
  again: (room) => room.again(),
  stall: (room) => (room.media.readyState < 3 ? room.media.flow() : room.media.stall()),
  refuse: (room) => { room.media.refuses = !room.media.refuses; },
  click: (room) => {
    room.media.refuses = false;
    room.controller.unblock();
  },
  hide: (room, random) => {
    room.hide(!room.page.hidden);
    if (room.page.hidden && random() < 0.5) room.media.release();
  },
  hurry: (room, random) => { room.media.playbackRate = [0.5, 1, 2][Math.floor(random() * 3)]; },
  clock: (room, random) => { room.clock.error = (random() - 0.5) * 100; },
  change: async (room, random) => {
    room.media.empty();
    await room.time.pass(random() * 500);
    room.media.flow();
    room.media.load({ duration: LENGTH });
  },
};

test('forty evenings at random: no command of anybody, and in the end the film is where it should be', async () => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const random = randomFrom(seed);
    const room = cinema({ mayControl: () => true, mutedStart: random() < 0.5 });
    Object.assign(room.media, { startDelay: random() * 100, seekDelay: 20 + random() * 400, speed: 1 + (random() - 0.5) * 4e-4 });
    room.media.load({ duration: LENGTH });
    room.play(0);
    for (let n = 0; n < 60; n += 1) {
      const all = Object.values(HAPPENINGS);
      await all[Math.floor(random() * all.length)](room, random);
      await room.time.pass(random() * 3_000);
    }
    room.hide(false);
    room.clock.error = 0;
    room.media.flow();
    HAPPENINGS.click(room);
    room.play(10, 300);
    await room.time.pass(15_000);
    assert.equal([room.told.commands, room.media.paused], [[], false], `evening ${seed}`);
    assert.near(room.ahead, 0, 0.06, `evening ${seed}`);
    const { length } = room.media.calls;
    await room.time.pass(20_000);
    assert.ok(room.media.calls.length - length < 20, `evening ${seed} is restless`);
    room.controller.stop();
    room.media.release();
    await room.time.pass(1_000);
    assert.equal([room.media.playbackRate, room.time.pending], [1, 0], `evening ${seed}`);
  }
});
