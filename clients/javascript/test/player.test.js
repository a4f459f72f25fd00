import { cinema } from './fakes/cinema.js';
import { assert, test } from './harness.js';

const host = { mayControl: () => true };

test('the controller\'s own changes are never taken for the host\'s', async () => {
  const room = cinema(host);
  room.media.startDelay = 30;
  await room.running();
  for (let round = 0; round < 5; round += 1) {
    room.pause(room.position);
    await room.time.pass(400);
    room.play(round * 100, 300);
    await room.time.pass(2_000);
    room.clock.error = round % 2 ? 9_000 : -9_000;
    await room.time.pass(9_000);
  }
  assert.ok(room.media.of('seek').length > 8);
  assert.equal(room.told.commands, []);
});

test('nor is a jump that aims far ahead, since seeks are slow here', async () => {
  const room = cinema(host);
  room.media.seekDelay = 2_000;
  await room.running();
  for (let round = 0; round < 3; round += 1) {
    room.clock.error += 60_000;
    await room.time.pass(12_000);
  }
  assert.equal([room.media.of('seek').length, room.told.commands], [3, []]);
  assert.near(room.controller.drift, 0, 0.02);
});

test('the host presses pause on the player: a command, and nobody fights it', async () => {
  const room = cinema(host);
  await room.running();
  room.media.release();
  await room.time.pass(400);
  assert.equal([room.told.commands.length, room.told.commands[0][0], room.media.paused], [1, 'pause', true]);
  assert.near(room.told.commands[0][1], room.media.currentTime, 0.001);
  assert.equal(room.media.calls, []);
  room.pause(room.media.currentTime);
  await room.time.pass(400);
  assert.equal([room.controller.state, room.told.commands.length], ['paused', 1]);
});

test('the host presses play on the player: it waits for the common start', async () => {
  const room = cinema(host);
  room.media.load();
  room.pause(50);
  await room.time.pass(500);
  room.media.press();
  await room.time.pass(100);
  assert.equal([room.told.commands, room.media.paused], [[['play', 50]], true]);
  room.play(50, 300);
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.told.commands.length, 1);
});

test('the host drags the handle: the room hears where it ends', async () => {
  const room = cinema(host);
  await room.running();
  for (let n = 1; n <= 10; n += 1) {
    room.media.place(500 + n);
    await room.time.pass(50);
  }
  await room.time.pass(300);
  assert.equal(room.told.commands.map(([what]) => what), ['seek']);
  assert.near(room.told.commands[0][1], 510, 0.5);
  assert.equal(room.media.of('seek'), [], 'it is not taken back meanwhile');
  room.play(510, 200);
  await room.time.pass(4_000);
  assert.near(room.ahead, 0, 0.02);
});

test('a command that is never answered is given up, and the room counts', async () => {
  const room = cinema(host);
  await room.running();
  room.media.release();
  await room.time.pass(6_000);
  assert.equal([room.controller.state, room.media.paused], ['playing', false]);
  assert.near(room.ahead, 0, 0.02);
});

test('a streaming library that nudges the player is not the host', async () => {
  const room = cinema(host);
  await room.running();
  room.media.place(room.media.currentTime + 0.3);
  await room.time.pass(1_000);
  assert.equal(room.told.commands, []);
});

test('a viewer who drags the handle is taken back', async () => {
  const room = cinema();
  await room.running();
  room.media.place(3_000);
  await room.time.pass(8_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.told.commands, []);
});

test('a viewer may pause for himself, and catches up when he plays', async () => {
  const room = cinema();
  await room.running();
  room.media.release();
  await room.time.pass(20_000);
  assert.equal([room.controller.state, room.media.paused, room.told.commands], ['paused', true, []]);
  room.media.press();
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.told.commands, []);
});

test('a viewer can\'t start the film alone', async () => {
  const room = cinema();
  room.media.load();
  room.pause(50);
  await room.time.pass(500);
  room.media.press();
  await room.time.pass(500);
  assert.equal([room.media.paused, room.media.currentTime, room.told.commands], [true, 50, []]);
});

test('a speed that somebody set by hand is put right', async () => {
  const room = cinema();
  await room.running();
  room.media.playbackRate = 2;
  await room.time.pass(5_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.media.playbackRate, 1);
});

test('a browser that wants a click gets it, and the film is where it should be', async () => {
  const room = cinema();
  room.media.refuses = true;
  room.media.load();
  room.play(10);
  await room.time.pass(5_000);
  assert.equal([room.controller.state, room.media.of('play').length], ['blocked', 1]);
  assert.equal(room.told.states.at(-1), 'blocked');
  room.media.refuses = false;
  room.controller.unblock();
  await room.time.pass(3_000);
  assert.equal(room.controller.state, 'playing');
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.told.commands, []);
});

test('a click that comes while the room is paused does not start the film', async () => {
  const room = cinema(host);
  room.media.load();
  room.pause(10);
  await room.time.pass(300);
  room.controller.unblock();
  await room.time.pass(1_000);
  assert.equal([room.media.paused, room.media.currentTime, room.told.commands], [true, 10, []]);
});

test('a start without sound, where that is wanted, until a click', async () => {
  const room = cinema({ mutedStart: true });
  room.media.refuses = true;
  room.media.load();
  room.play(10);
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.media.muted, room.controller.isMutedStart], ['playing', true, true]);
  const plays = room.media.of('play').length;
  room.media.refuses = false;
  room.controller.unblock();
  await room.time.pass(500);
  assert.equal([room.media.muted, room.controller.isMutedStart, room.media.of('play').length], [false, false, plays]);
});

test('a browser that refuses films without sound, too, is blocked', async () => {
  const room = cinema({ mutedStart: true });
  Object.assign(room.media, { refuses: true, refusesMuted: true });
  room.media.load();
  room.play(10);
  await room.time.pass(5_000);
  assert.equal([room.controller.state, room.media.of('play').length], ['blocked', 2]);
});

test('a page that nobody sees is paused by the browser: no command, no fight, and right again when it is seen', async () => {
  const room = cinema(host);
  await room.running();
  room.hide(true);
  room.media.release();
  await room.time.pass(30_000);
  assert.equal([room.told.commands, room.media.of('play'), room.media.paused], [[], [], true]);
  room.hide(false);
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal(room.told.commands, []);
});

test('whoever looks only once a minute does not swing to and fro', async () => {
  let act;
  const room = cinema({ setInterval: (step) => { act = step; } });
  room.media.load();
  room.play(0);
  for (let n = 0; n < 100; n += 1) {
    act();
    await room.time.pass(100);
  }
  room.clock.error = 300;
  const offs = [];
  for (let minute = 0; minute < 8; minute += 1) {
    await room.time.pass(60_000);
    act();
    offs.push(room.controller.drift);
  }
  assert.equal(room.media.of('seek'), []);
  for (const off of offs) assert.ok(off > -0.31 && off < 0.05, `${offs}`);
  assert.ok(Math.abs(offs.at(-1)) < 0.1, `${offs}`);
});

test('a film that is over stays over, and runs again when the host goes back', async () => {
  const room = cinema(host);
  await room.running({ at: 100, duration: 115 });
  await room.time.pass(20_000);
  assert.equal([room.controller.state, room.media.ended], ['ended', true]);
  assert.equal([room.media.of('seek'), room.media.of('play'), room.told.commands], [[], [], []]);
  room.play(20, 300);
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.media.ended], ['playing', false]);
  assert.near(room.ahead, 0, 0.02);
});

test('who comes when the film is over is shown its end, once', async () => {
  const room = cinema();
  room.play(500);
  room.media.load({ duration: 120 });
  await room.time.pass(20_000);
  assert.equal([room.controller.state, room.media.currentTime, room.media.of('seek').length], ['ended', 120, 1]);
  assert.equal(room.media.paused, true);
});

test('a player that ends a little early is let be', async () => {
  const room = cinema();
  room.media.speed = 1.001;
  await room.running({ at: 100, duration: 112 });
  room.clock.error = -50;
  await room.time.until(() => room.media.ended);
  await room.time.pass(0);
  assert.equal(room.controller.state, 'ended');
  await room.time.pass(2_500);
  assert.equal([room.media.ended, room.media.of('seek'), room.media.of('play')], [true, [], []]);
});

test('a host who presses play at the end begins anew', async () => {
  const room = cinema(host);
  await room.running({ at: 100, duration: 111 });
  await room.time.pass(3_000);
  room.pause(111);
  await room.time.pass(500);
  room.media.press();
  await room.time.pass(500);
  assert.equal(room.told.commands[0], ['play', 0]);
});

test('a live stream is played and paused, and never sought', async () => {
  const room = cinema();
  room.media.load({ duration: Infinity });
  room.play(5_000);
  await room.time.pass(20_000);
  assert.equal([room.controller.state, room.media.of('seek'), room.media.paused], ['playing', [], false]);
  assert.ok(Number.isNaN(room.controller.drift));
  room.pause(5_020);
  await room.time.pass(500);
  assert.equal([room.controller.state, room.media.of('seek'), room.media.paused], ['paused', [], true]);
});

test('of a live stream that keeps its past what it keeps can be reached', async () => {
  const room = cinema();
  room.media.seekable = { length: 1, start: () => 100, end: () => 400 };
  room.media.load({ duration: Infinity });
  room.play(200);
  await room.time.pass(3_000);
  assert.near(room.ahead, 0, 0.02);
});

test('a player that stalls says so, and that it can go on', async () => {
  const room = cinema();
  await room.running();
  room.told.ready.length = 0;
  room.media.stall();
  await room.time.pass(100);
  assert.equal(room.told.buffering, [], 'a hiccup is not worth telling');
  await room.time.pass(2_000);
  assert.equal([room.controller.state, room.told.buffering.length, room.told.ready], ['buffering', 1, []]);
  room.media.flow();
  await room.time.pass(8_000);
  assert.equal([room.told.ready.length, room.told.buffering.length], [1, 1]);
  assert.near(room.ahead, 0, 0.03);
});

test('a film that loads says so before it can play, and once when it can', async () => {
  const room = cinema();
  room.pause(0);
  await room.time.pass(1_000);
  assert.equal([room.controller.state, room.told.buffering], ['loading', [0]]);
  room.media.load();
  await room.time.pass(1_000);
  assert.equal(room.told.ready, [0]);
});

test('another film is loaded and followed like the first', async () => {
  const room = cinema(host);
  await room.running();
  room.told.ready.length = 0;
  room.media.empty();
  await room.time.pass(500);
  assert.equal(room.controller.state, 'loading');
  room.play(0);
  room.media.load({ duration: 600 });
  await room.time.pass(5_000);
  assert.near(room.ahead, 0, 0.02);
  assert.equal([room.told.ready.length, room.told.commands], [1, []]);
});

test('a player that says it plays and does not move has stalled', async () => {
  const room = cinema();
  await room.running();
  Object.defineProperty(room.media, 'currentTime', { get: () => 110, set: () => {}, configurable: true });
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.told.buffering.length], ['buffering', 1]);
  delete room.media.currentTime;
  await room.time.pass(30_000);
  assert.equal([room.controller.state, room.told.ready.length], ['playing', 2]);
});

test('a browser that loads nothing before it is told to play is told', async () => {
  const room = cinema();
  room.media.load({ readyState: 1 });
  room.media.seekDelay = 10;
  room.media.stall();
  room.play(0);
  await room.time.pass(5_000);
  assert.ok(room.media.of('play').length >= 1);
});

test('a phone that leaves full screen pauses the film: nobody asked for that', async () => {
  for (const options of [host, {}]) {
    for (const isEndFirst of [false, true]) {
      const room = cinema(options);
      await room.running();
      const leave = () => {
        room.media.webkitDisplayingFullscreen = false;
        room.media.dispatchEvent(new Event('webkitendfullscreen'));
      };
      room.media.webkitDisplayingFullscreen = true;
      if (isEndFirst) leave();
      room.media.release();
      await room.time.pass(200);
      if (!isEndFirst) leave();
      await room.time.pass(3_000);
      assert.equal([room.told.commands, room.controller.state], [[], 'playing'], `${isEndFirst}`);
      assert.near(room.ahead, 0, 0.02);
    }
  }
});

test('a pause in full screen is one, a moment later', async () => {
  const room = cinema(host);
  await room.running();
  room.media.webkitDisplayingFullscreen = true;
  room.media.release();
  await room.time.pass(1_000);
  assert.equal([room.told.commands.map(([what]) => what), room.media.paused], [['pause'], true]);
  const viewer = cinema();
  await viewer.running();
  viewer.media.webkitDisplayingFullscreen = true;
  viewer.media.release();
  await viewer.time.pass(1_000);
  assert.equal([viewer.controller.state, viewer.media.paused], ['paused', true]);
  const gone = cinema(host);
  await gone.running();
  gone.media.webkitDisplayingFullscreen = true;
  gone.media.release();
  await gone.time.pass(100);
  gone.controller.stop();
  await gone.time.pass(1_000);
  assert.equal([gone.told.commands, gone.time.pending], [[], 0]);
});

test('a host who takes his pause back at once is heard', async () => {
  const room = cinema(host);
  await room.running();
  room.media.release();
  await room.time.pass(50);
  room.media.press();
  await room.time.pass(50);
  assert.equal(room.told.commands.map(([what]) => what), ['pause', 'play']);
  room.pause(room.media.currentTime);
  await room.time.pass(50);
  room.play(room.media.currentTime, 200);
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.told.commands.length], ['playing', 2]);
  assert.near(room.ahead, 0, 0.02);
});

test('a host who drags the handle is heard, though somebody else\'s command comes meanwhile', async () => {
  const room = cinema(host);
  await room.running();
  room.media.place(500);
  await room.time.pass(50);
  room.pause(30);
  await room.time.pass(1_000);
  assert.equal(room.told.commands, [['seek', 500]]);
});

test('where a player goes while the room\'s time is not known is no command', async () => {
  const room = cinema(host);
  room.clock.isReady = false;
  room.clock.error = NaN;
  room.media.load();
  room.play(100);
  await room.time.pass(200);
  room.media.place(5);
  await room.time.pass(1_000);
  assert.equal(room.told.commands, []);
});

test('with nothing to follow any more a film is not left at another speed', async () => {
  const room = cinema();
  await room.running();
  room.clock.error = 500;
  await room.time.pass(1_000);
  assert.ok(room.media.playbackRate > 1.01);
  room.controller.follow(null);
  assert.equal([room.media.playbackRate, room.controller.state], [1, 'idle']);
});

test('a live stream that did not start is started again', async () => {
  const room = cinema();
  const play = room.media.play.bind(room.media);
  let tries = 0;
  room.media.play = () => ((tries += 1) > 2 ? play() : new Promise(() => {}));
  room.media.load({ duration: Infinity });
  room.play(5_000);
  await room.time.pass(6_000);
  assert.equal([room.media.paused, tries], [false, 3]);
});

test('a film that is being corrected goes on at its own speed while the room\'s time is not known', async () => {
  const room = cinema();
  await room.running();
  room.clock.error = 500;
  await room.time.pass(1_000);
  assert.ok(room.media.playbackRate > 1.01);
  room.clock.error = NaN;
  await room.time.pass(1_000);
  assert.equal([room.media.playbackRate, room.media.paused, room.controller.state], [1, false, 'playing']);
});

test('a browser that pauses a film just before the page is hidden has paused it, not the viewer', async () => {
  const room = cinema();
  await room.running();
  room.media.release();
  await room.time.pass(100);
  room.hide(true);
  await room.time.pass(20_000);
  room.hide(false);
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.media.paused], ['playing', false]);
  room.media.release();
  await room.time.pass(5_000);
  room.hide(true);
  room.hide(false);
  await room.time.pass(3_000);
  assert.equal([room.controller.state, room.media.paused], ['paused', true], 'who paused it himself finds it so');
});
