import { DriftController } from '../../streamit.js';
import { Media } from './media.js';
import { Time } from './time.js';

/** The room's clock in these tests is this far ahead of the machine's. */
export const AHEAD = 1_000_000;

/** A controller with a player, in the time of a test, and a room that it follows. */
export function cinema(options = {}) {
  const time = new Time();
  const media = new Media(time);
  const clock = { isReady: true, error: 0, now: () => time.now() + AHEAD + clock.error };
  const page = Object.assign(new EventTarget(), { hidden: false });
  const told = { commands: [], ready: [], buffering: [], states: [] };
  let version = 0;
  const controller = new DriftController(media, {
    clock,
    document: page,
    oncommand: (what, at) => told.commands.push([what, at]),
    onready: (at) => told.ready.push(at),
    onbuffering: (at) => told.buffering.push(at),
    onchange: (state) => told.states.push(state),
    ...time.parts,
    ...options,
  });
  let last;
  const tell = (is_playing, at, lead, more) => {
    version += 1;
    last = { is_playing, time: at, server_time: time.now() + AHEAD + lead, version, rate: 1, ...more };
    controller.follow(last);
  };
  return {
    time, media, clock, page, told, controller,
    play: (at, lead = 0, more) => tell(true, at, lead, more),
    pause: (at, more) => tell(false, at, 0, more),
    /** The last state once more, as after a reconnect: a new anchor of the same version. */
    again: () => {
      const now = time.now() + AHEAD;
      const run = last.is_playing ? Math.max(0, now - last.server_time) / 1000 : 0;
      controller.follow({ ...last, time: last.time + run, server_time: Math.max(now, last.server_time) });
    },
    /** Where the room is, in seconds. */
    get position() {
      return last.is_playing ? last.time + Math.max(0, time.now() + AHEAD - last.server_time) / 1000 : last.time;
    },
    /** How far the player is truly ahead, in seconds. */
    get ahead() {
      return media.currentTime - this.position;
    },
    hide(hidden) {
      page.hidden = hidden;
      page.dispatchEvent(new Event('visibilitychange'));
    },
    /** A film that has run for ten seconds. */
    async running({ at = 100, ...load } = {}) {
      media.load(load);
      this.play(at);
      await time.pass(10_000);
      media.calls.length = 0;
      told.states.length = 0;
    },
  };
}
