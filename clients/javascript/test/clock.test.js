import { RoomClock } from '../streamit.js';
import { assert, randomFrom, test } from './harness.js';

/** A clock on a fake monotonic time, and a room whose clock is `ahead` of it. */
function setUp(options = {}) {
  const local = { ms: 5_000 };
  const clock = new RoomClock({ now: () => local.ms, resolution: 0, ...options });
  const exchange = (ahead, there, back, inside = 0) => {
    const t0 = local.ms;
    const t1 = Math.floor(t0 + there + ahead);
    const t2 = Math.floor(t0 + there + inside + ahead);
    local.ms += there + inside + back;
    return clock.add(t0, t1, t2, local.ms);
  };
  return { local, clock, exchange };
}

test('a clock that has heard nothing knows nothing, and says so', () => {
  const { clock } = setUp();
  assert.ok(Number.isNaN(clock.now()) && Number.isNaN(clock.offset) && Number.isNaN(clock.bound));
  assert.ok(Number.isNaN(clock.rtt));
  assert.equal([clock.isReady, clock.isHungry], [false, true]);
});

test('the offset is the one of the protocol, and half the round trip and the rounding is the bound', () => {
  const { clock } = setUp();
  clock.add(4_900, 1_004_940, 1_004_942, 5_000);
  assert.near(clock.offset, 999_991, 0.1);
  assert.near(clock.bound, 50, 0.1);
  assert.near(clock.rtt, 98, 1e-9);
});

test('eight exchanges make it ready', () => {
  const { clock, exchange } = setUp();
  for (let n = 0; n < 7; n += 1) exchange(1e12, 20, 20);
  assert.equal(clock.isReady, false);
  exchange(1e12, 20, 20);
  assert.equal([clock.isReady, clock.isHungry], [true, false]);
});

test('the least round trip sets the bound, whenever it was', () => {
  const { clock, exchange } = setUp();
  exchange(1e12, 90, 10);
  exchange(1e12, 2, 3);
  for (let n = 0; n < 6; n += 1) exchange(1e12, 300, 20);
  assert.ok(clock.bound <= 5, `${clock.bound}`);
  assert.near(clock.offset, 1e12, clock.bound);
});

test('the truth is within the bound, however lopsided, slow and crooked everything is', () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = randomFrom(seed);
    // Both clocks are off by up to 200 millionths; the way there and the way back have nothing in common.
    const [ours, theirs] = [1 + (random() - 0.5) * 4e-4, 1 + (random() - 0.5) * 4e-4];
    const [there, back, jitter] = [random() * 300, random() * 300, random() * 200];
    let truth = random() * 1e6;
    const step = random() < 0.5 ? 1 : 0.1;
    const local = () => Math.floor(truth * ours / step) * step;
    const room = () => 1.7e12 + truth * theirs;
    const clock = new RoomClock({ now: local });
    for (let n = 0; n < 60; n += 1) {
      const t0 = local();
      truth += there + random() * jitter;
      const t1 = Math.floor(room());
      truth += random() * 3;
      const t2 = Math.floor(room());
      truth += back + random() * jitter;
      assert.ok(clock.add(t0, t1, t2, local()), 'taken');
      for (let look = 0; look < 3; look += 1) {
        truth += random() * 1_000;
        const error = Math.abs(clock.now() - room());
        assert.ok(error <= clock.bound + 1e-6, `seed ${seed}: off by ${error}, said ${clock.bound}`);
      }
    }
  }
});

test('the bound grows while nothing is heard, and stays true', () => {
  const { local, clock, exchange } = setUp();
  for (let n = 0; n < 8; n += 1) exchange(1e12, 5, 5);
  const before = clock.bound;
  local.ms += 600_000;
  assert.near(clock.bound - before, 240, 1);
  assert.near(clock.offset, 1e12, clock.bound);
  assert.equal(clock.isReady, false, 'what is old does not make it ready');
});

test('an exchange that is too old gives way to a worse one that is not', () => {
  const { local, clock, exchange } = setUp({ maxAge: 10_000 });
  exchange(1e12, 1, 1);
  local.ms += 10_001;
  exchange(1e12, 30, 30);
  assert.near(clock.rtt, 60, 1e-9);
});

test('a room whose clock jumped is believed at once', () => {
  const { clock, exchange } = setUp();
  for (let n = 0; n < 12; n += 1) exchange(1e12, 5, 5);
  exchange(1e12 + 500, 5, 5);
  assert.near(clock.offset, 1e12 + 500, clock.bound);
  assert.equal([clock.isReady, clock.isHungry], [false, true]);
});

test('a machine that slept while its clock stood still is found out by the next exchange', () => {
  const { clock, exchange } = setUp();
  for (let n = 0; n < 8; n += 1) exchange(1e12, 5, 5);
  clock.renew();
  exchange(1e12 + 3_600_000, 40, 5);
  assert.near(clock.offset, 1e12 + 3_600_000, clock.bound);
});

test('after a reconnect what was known holds until there is as much that is new', () => {
  const { clock, exchange } = setUp();
  for (let n = 0; n < 20; n += 1) exchange(1e12, 2, 2);
  clock.renew();
  assert.equal([clock.isReady, clock.isHungry], [true, true]);
  exchange(1e12, 800, 10);
  assert.ok(clock.bound < 4, 'one slow answer of a busy server says less than what was known');
  for (let n = 0; n < 7; n += 1) exchange(1e12, 30, 30);
  assert.ok(clock.bound > 10, 'now only what the new server said counts');
  assert.equal([clock.isReady, clock.isHungry], [true, false]);
});

test('what can be no exchange is refused', () => {
  const { clock } = setUp();
  for (const [t0, t1, t2, t3] of [
    [NaN, 1, 1, 2], [0, NaN, 1, 2], [0, 1, Infinity, 2], [10, 1, 1, 5], [0, 5, 4, 10], [0, 0, 100, 5], ['a', 1, 1, 2],
  ]) {
    assert.equal(clock.add(t0, t1, t2, t3), false, `${[t0, t1, t2, t3]}`);
  }
  assert.ok(Number.isNaN(clock.now()));
});

test('what is kept is bounded', () => {
  const { clock, exchange } = setUp({ maxAge: Infinity });
  exchange(1e12, 1, 1);
  for (let n = 0; n < 45; n += 1) exchange(1e12, 40, 40);
  assert.near(clock.rtt, 80, 1e-9);
});

test('a reset forgets everything', () => {
  const { clock, exchange } = setUp();
  exchange(1e12, 1, 1);
  clock.reset();
  assert.ok(Number.isNaN(clock.now()));
});
