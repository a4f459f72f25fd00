import { assert, test } from './harness.js';
import { cinema } from './fakes/cinema.js';

test('without a film to follow the player is left alone', async () => {
  const { media, controller, time } = cinema();
  media.load();
  await time.pass(1_000);
  assert.equal(media.calls, []);
  assert.equal(controller.state, 'idle');
  assert.ok(Number.isNaN(controller.drift));
});

test('a common start: it stands ready before the moment and runs from it', async () => {
  const room = cinema();
  const { media, time, controller } = room;
  media.load();
  room.pause(60);
  await time.pass(500);
  assert.equal([controller.state, media.currentTime], ['paused', 60]);
  room.play(60, 400);
  await time.pass(300);
  assert.equal([controller.state, media.paused, media.currentTime], ['waiting', true, 60]);
  await time.pass(150);
  assert.equal(media.paused, false);
  await time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(media.of('seek').length, 1, 'only the one of the pause');
});

test('what play() costs on this machine is learnt', async () => {
  const room = cinema();
  room.media.startDelay = 120;
  room.media.load();
  const late = [];
  for (let round = 0; round < 8; round += 1) {
    room.pause(60);
    await room.time.pass(1_000);
    room.play(60, 500);
    await room.time.pass(700);
    late.push(Math.abs(room.ahead));
    await room.time.pass(3_000);
  }
  assert.ok(late.at(-1) < 0.02, `${late}`);
});

test('who comes late lands where the film is, with one seek', async () => {
  const room = cinema();
  room.media.seekDelay = 180;
  room.play(1_000);
  await room.time.pass(5_000);
  assert.equal(room.controller.state, 'loading');
  room.media.load();
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal([room.controller.state, room.media.of('seek').length], ['playing', 1]);
});

test('a slow seek is aimed better the next time', async () => {
  const room = cinema();
  room.media.seekDelay = 900;
  await room.running();
  for (let round = 0; round < 2; round += 1) {
    room.play(500 + round * 300, 150);
    await room.time.pass(8_000);
  }
  assert.ok(Math.abs(room.ahead) < 0.02, `${room.ahead}`);
  assert.equal(room.media.of('seek').length, 2);
});

test('it waits until there is enough film to play', async () => {
  const room = cinema();
  room.media.load({ readyState: 1 });
  room.play(10, 200);
  await room.time.pass(100);
  room.media.stall();
  await room.time.pass(1_000);
  assert.equal([room.controller.state, room.media.paused], ['buffering', true]);
  room.media.flow();
  await room.time.pass(8_000);
  assert.equal(room.controller.state, 'playing');
  assert.near(room.ahead, 0, 0.03);
});

test('a little off is made up by speed, between the two thresholds', async () => {
  const room = cinema();
  await room.running();
  const place = (seconds) => { room.clock.error = -seconds * 1000; };
  for (let n = 0; n <= 50; n += 1) {
    place(n / 1000);
    await room.time.pass(1_000);
  }
  assert.equal(room.media.of('rate'), [], 'within the entering threshold nothing happens');
  place(0.09);
  await room.time.pass(1_000);
  assert.equal(room.controller.state, 'correcting');
  assert.ok(room.media.playbackRate >= 0.95 && room.media.playbackRate < 1);
  await room.time.pass(5_000);
  assert.equal([room.controller.state, room.media.playbackRate], ['playing', 1]);
  assert.near(room.controller.drift, 0, 0.02);
  assert.equal(room.media.of('seek'), []);
});

test('what a busy machine lost at once is made up, though it is little', async () => {
  const room = cinema();
  await room.running();
  room.clock.error = 40;
  await room.time.pass(5_000);
  assert.near(room.controller.drift, 0, 0.02);
  assert.equal([room.media.of('seek'), room.media.playbackRate], [[], 1]);
});

test('where the room\'s time is not known that well, little is left alone', async () => {
  const room = cinema();
  room.clock.bound = 100;
  await room.running();
  room.clock.error = 40;
  await room.time.pass(5_000);
  assert.equal(room.media.of('rate'), []);
});

test('the speed never leaves its five per cent', async () => {
  const room = cinema();
  await room.running();
  for (const off of [-1_100, 1_100]) {
    room.clock.error += off;
    await room.time.pass(30_000);
  }
  for (const [, rate] of room.media.of('rate')) assert.ok(rate >= 0.95 && rate <= 1.05, `${rate}`);
  assert.equal(room.media.of('seek'), []);
});

test('from one second apart it is back within 25 seconds, without a jump', async () => {
  for (const off of [1_000, -1_000]) {
    const room = cinema();
    await room.running();
    room.clock.error = off;
    await room.time.pass(25_000);
    assert.near(room.controller.drift, 0, 0.02);
    assert.equal([room.media.of('seek'), room.media.playbackRate], [[], 1]);
  }
});

test('far off is a jump, and at most one in five seconds', async () => {
  const room = cinema();
  await room.running();
  const seeks = [];
  room.media.addEventListener('seeking', () => seeks.push(room.time.now()));
  for (let n = 0; n < 100; n += 1) {
    room.clock.error += n % 2 ? 30_000 : -30_000;
    await room.time.pass(400);
  }
  assert.ok(seeks.length >= 2 && seeks.length <= 9, `${seeks}`);
  for (let n = 1; n < seeks.length; n += 1) assert.ok(seeks[n] - seeks[n - 1] >= 5_000, `${seeks}`);
});

test('the thresholds are those of the room, also when they change', async () => {
  let thresholds = { enter_ms: 200, leave_ms: 150, seek_ms: 3_000 };
  const room = cinema({ thresholds: () => thresholds });
  await room.running();
  room.clock.error = 90;
  await room.time.pass(2_000);
  assert.equal(room.media.calls, []);
  thresholds = { enter_ms: 60, leave_ms: 20, seek_ms: 40 };
  await room.time.pass(1_000);
  assert.equal(room.media.of('seek').length, 1);
});

test('a player whose clock is wrong is kept near', async () => {
  for (const speed of [1.0002, 0.9998]) {
    const room = cinema();
    room.media.speed = speed;
    await room.running();
    for (let second = 0; second < 600; second += 1) {
      await room.time.pass(1_000);
      assert.ok(Math.abs(room.ahead) < 0.07, `${room.ahead}`);
    }
    assert.equal(room.media.of('seek'), []);
  }
});

test('a player that can only run at its own speed jumps instead', async () => {
  const room = cinema();
  room.media.canChangeRate = false;
  await room.running();
  room.clock.error = 400;
  await room.time.pass(6_000);
  assert.near(room.controller.drift, 0, 0.1);
  assert.equal([room.media.of('seek').length, room.controller.state], [1, 'playing']);
});

test('a pause stops it at once, where the room stands', async () => {
  const room = cinema();
  await room.running();
  room.pause(room.position - 0.08);
  assert.equal(room.media.paused, true);
  await room.time.pass(500);
  assert.near(room.ahead, 0, 0.001);
  assert.equal([room.controller.state, room.controller.drift], ['paused', 0]);
});

test('a seek while it runs stands at the new place until the common moment', async () => {
  const room = cinema();
  await room.running();
  room.play(3_000, 800);
  await room.time.pass(700);
  assert.equal([room.controller.state, room.media.currentTime, room.media.paused], ['waiting', 3_000, true]);
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.media.of('seek').length, 1);
});

test('commands in a row end at the last one', async () => {
  const room = cinema();
  room.media.seekDelay = 300;
  await room.running();
  for (let n = 0; n < 20; n += 1) {
    if (n % 3) room.play(n * 50, 150);
    else room.pause(n * 50);
    await room.time.pass(70);
  }
  await room.time.pass(6_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.controller.state, 'playing');
});

test('an older state than the last one is ignored, the same once more changes nothing', async () => {
  const room = cinema();
  await room.running();
  room.controller.follow({ is_playing: false, time: 0, server_time: 0, version: 0 });
  room.again();
  await room.time.pass(1_000);
  assert.equal(room.media.calls, []);
});

test('a held room stands and says that it waits', async () => {
  const room = cinema();
  await room.running();
  room.pause(110, { held: true, hold_until: 1 });
  await room.time.pass(200);
  assert.equal([room.controller.state, room.media.paused], ['waiting', true]);
});

test('a clock that is not ready starts nothing, and stops nothing', async () => {
  const room = cinema();
  room.clock.isReady = false;
  room.media.load();
  room.play(10);
  await room.time.pass(2_000);
  assert.equal([room.controller.state, room.media.of('play')], ['waiting', []]);
  room.clock.isReady = true;
  await room.time.pass(2_000);
  assert.equal(room.controller.state, 'playing');
  room.clock.isReady = false;
  room.clock.error = NaN;
  await room.time.pass(2_000);
  assert.equal([room.controller.state, room.media.paused], ['playing', false]);
  assert.ok(Number.isNaN(room.controller.drift));
});

test('stopping leaves the player at its own speed, and alone', async () => {
  const room = cinema();
  await room.running();
  room.clock.error = 500;
  await room.time.pass(1_000);
  assert.ok(room.media.playbackRate > 1);
  room.controller.stop();
  assert.equal([room.media.playbackRate, room.media.preservesPitch, room.media.paused], [1, false, false]);
  room.media.calls.length = 0;
  room.controller.follow({ is_playing: false, time: 0, server_time: 0, version: 99 });
  room.controller.unblock();
  room.hide(false);
  room.media.release();
  await room.time.pass(10_000);
  assert.equal([room.media.calls, room.told.commands, room.time.pending], [[], [], 0]);
});
