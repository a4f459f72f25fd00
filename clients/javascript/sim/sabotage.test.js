/**
 * A simulator that finds everything well proves nothing. Here something is broken on purpose, and must be noticed.
 */
import assert from 'node:assert/strict';
import test from 'node:test';

import { RoomClock } from '../streamit.js';
import { PROMISES } from './promises.js';
import { clockErrors } from './scenarios/clock.js';
import { startSkews } from './scenarios/start.js';
import { steadyDrift } from './scenarios/steady.js';
import { troubledEvenings } from './scenarios/trouble.js';
import { assertNoticed } from './support.js';

const SEEDS = 60;

test('without a common moment to start at viewers do not start together', async (t) => {
  const { later } = await startSkews({ seeds: SEEDS, server: { isScheduled: false } });

  assertNoticed(t, PROMISES.startSkew, later);
});

test('a bound that takes the way there for as long as the way back is wrong', async () => {
  class TrustingClock extends RoomClock {
    get bound() {
      return Math.min(super.bound, 3 + this.rtt / 10);
    }
  }
  const looks = await clockErrors({ seeds: SEEDS, library: { RoomClock: TrustingClock } });

  assert.ok(looks.some(({ error, bound }) => Math.abs(error) > bound));
});

test('a clock that believes the newest answer instead of all of them drifts on bad lines', async (t) => {
  class HastyClock extends RoomClock {
    add(...exchange) {
      this.reset();
      return super.add(...exchange);
    }

    get isReady() {
      return true;
    }

    get isHungry() {
      return false;
    }
  }
  const { drifts } = await steadyDrift({ seeds: SEEDS, jitter: 200, loss: 0.05, library: { RoomClock: HastyClock } });

  assertNoticed(t, PROMISES.driftAt200, drifts);
});

test('without hysteresis the speed changes all the time', async (t) => {
  const thresholds = { enter_ms: 0, leave_ms: 0, seek_ms: 1200 };
  const { corrections } = await steadyDrift({ seeds: SEEDS, jitter: 20, thresholds });

  assertNoticed(t, PROMISES.correctionsInMinute, corrections);
});

test('a player that jumps whenever it is off jumps too often', async () => {
  const found = await troubledEvenings({ seeds: SEEDS, library: { DriftController: Jumper } });

  assert.ok(found.flatMap(({ seekGaps }) => seekGaps).some((gap) => gap < PROMISES.seekGap - 2));
});

/** What many players do: play at once, and jump when a quarter of a second off. */
class Jumper {
  #media;
  #clock;
  #state = null;

  constructor(media, { clock, setInterval }) {
    this.#media = media;
    this.#clock = clock;
    setInterval(() => this.#step(), 250);
  }

  follow(state) {
    this.#state = state;
    if (state.is_playing) this.#media.play().catch(() => {});
    else this.#media.pause();
  }

  #step() {
    const { time, server_time: begin, is_playing: isPlaying } = this.#state ?? {};
    if (!isPlaying || this.#media.seeking) return;
    const position = time + Math.max(0, this.#clock.now() - begin) / 1000;
    if (Math.abs(this.#media.currentTime - position) > 0.25) this.#media.currentTime = position;
  }
}
