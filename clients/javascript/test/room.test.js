import { ApiError, CLOSE, RoomError, closeAction } from '../streamit.js';
import { ANA, BO, said, visit } from './fakes/network.js';
import { assert, test } from './harness.js';

test('it is open once the three frames of a join have come', async () => {
  const here = visit();
  await here.dial();
  assert.equal([here.room.status, here.socket.url.href], ['connecting', 'wss://example.org/ws/room/AB12CD/?token=token+1']);
  here.participants();
  here.history([said(1, 'hi')]);
  assert.equal(here.room.status, 'connecting');
  here.playback();
  assert.equal(here.room.status, 'open');
  assert.equal(here.events.map(([name]) => name), ['status', 'participants', 'history', 'playback', 'status']);
  const { you, host, hostId, isHostOnline, online, node, mayControl } = here.room;
  assert.equal({ you, host, hostId, isHostOnline, online, node, mayControl }, {
    you: BO, host: 'Ana', hostId: ANA.id, isHostOnline: true, online: 2, node: 'n1', mayControl: false,
  });
});

test('coming back asks for what is missing, and adds it', async () => {
  const here = visit();
  await here.come([said(1, 'a'), said(2, 'b')]);
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(3, 'c') });
  await here.fallBack();
  const { searchParams } = here.socket.url;
  assert.equal([searchParams.get('since'), searchParams.get('epoch')], ['3', '1']);
  await here.welcome([said(4, 'd')], { resumed: true });
  assert.equal(here.room.messages.map(({ seq }) => seq), [1, 2, 3, 4]);
});

test('a room in which nothing was said is resumed, too', async () => {
  const here = visit();
  await here.come([], { head: 0 });
  await here.fallBack();
  assert.equal(here.socket.url.searchParams.get('since'), '0');
});

test('what can\'t be resumed replaces what there was', async () => {
  const here = visit();
  await here.come([said(1, 'a'), said(2, 'b')]);
  await here.fallBack();
  await here.welcome([said(901, 'x')], { resumed: false });
  assert.equal(here.room.messages.map(({ seq }) => seq), [901]);
});

test('a new epoch replaces messages and film, though its numbers are lower', async () => {
  const here = visit();
  await here.come([said(7, 'lost')]);
  here.playback({ version: 500 });
  await here.fallBack(4101);
  // Whatever a server calls it: another epoch can't be resumed.
  await here.welcome([said(5, 'a'), said(6, 'other')], { epoch: 2, resumed: true });
  assert.equal(here.room.messages.map(({ message }) => message), ['a', 'other']);
  assert.equal([here.room.epoch, here.room.playback.version, here.room.playback.epoch], [2, 1, 2]);
});

test('a message is shown once, whatever comes twice', async () => {
  const here = visit();
  await here.come([said(1, 'a')]);
  for (const seq of [1, 2, 2, 1, 3]) here.socket.hear({ type: 'CHAT_MESSAGE', ...said(seq, `m${seq}`) });
  assert.equal(here.of('message').map(({ seq }) => seq), [2, 3]);
  assert.equal(here.room.messages.map(({ seq }) => seq), [1, 2, 3]);
});

test('the latest thousand messages are kept', async () => {
  const here = visit();
  await here.come();
  for (let seq = 1; seq <= 1_200; seq += 1) here.socket.hear({ type: 'CHAT_MESSAGE', ...said(seq, 'm') });
  assert.equal([here.room.messages.length, here.room.messages[0].seq], [1_000, 201]);
});

test('a message that is taken back leaves an empty place', async () => {
  const here = visit();
  await here.come([said(1, 'a'), said(2, 'b')]);
  here.socket.hear({ type: 'MESSAGE_ERASED', seq: 1 });
  assert.equal([here.room.messages[0].message, here.room.messages[0].erased, here.room.messages[1].message], ['', true, 'b']);
});

test('what was taken back while one was away is a tombstone after coming back', async () => {
  const here = visit();
  await here.come([said(1, 'a'), said(2, 'b'), said(3, 'c')]);
  await here.fallBack();
  await here.welcome([], { resumed: true, head: 3 });
  for (const seq of [1, 3, 77]) here.socket.hear({ type: 'MESSAGE_ERASED', seq });
  assert.equal(here.room.messages.map(({ message, erased }) => [message, erased]), [['', true], ['b', undefined], ['', true]]);
  assert.equal(here.of('erased').map(({ seq }) => seq), [1, 3, 77]);
});

test('in slow mode one knows when one may go on, whoever tells it', async () => {
  const here = visit();
  await here.dial();
  here.answering();
  here.participants({ slow_mode_seconds: 0, is_chat_locked: false });
  here.history();
  here.playback();
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(1, 'mine, before', { user_id: BO.id }) });
  here.socket.hear({ type: 'ROOM_UPDATED', slow_mode_seconds: 30 });
  assert.equal([here.room.slowUntil, here.room.settings.is_chat_locked], [null, false]);
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(2, 'of another') });
  assert.equal(here.room.slowUntil, null);
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(3, 'mine, from another tab', { user_id: BO.id }) });
  const until = here.time.now() + 30_000;
  assert.equal(here.room.slowUntil, until);
  await here.time.pass(10_000);
  assert.equal(here.room.slowUntil, until);
  // A resent message is answered with what is stored, which was said long ago.
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(3, 'mine, from another tab', { user_id: BO.id }) });
  assert.equal(here.room.slowUntil, until);
  await here.time.pass(20_001);
  assert.equal(here.room.slowUntil, null);

  const done = here.room.say('too soon');
  const [{ client_id }] = here.socket.of('CHAT_MESSAGE');
  here.socket.hear({ type: 'ERROR', code: 'SLOW_MODE', message: 'Slow', client_id, retry_in_ms: 4_200 });
  await assert.rejects(done, (error) => assert.equal([error.code, error.retryInMs], ['SLOW_MODE', 4_200]));
  assert.equal(here.room.slowUntil, here.time.now() + 4_200);
  here.socket.hear({ type: 'ROOM_UPDATED', slow_mode_seconds: 60 });
  assert.equal(here.room.slowUntil, here.time.now() + 34_200, 'the host has made it slower');
  here.socket.hear({ type: 'ROOM_UPDATED', slow_mode_seconds: 0 });
  assert.equal(here.room.slowUntil, null);
  here.socket.hear({ type: 'ROOM_UPDATED', slow_mode_seconds: 60 });
  here.socket.hear({ type: 'HOST_CHANGED', host: 'Bo', host_id: BO.id });
  assert.equal(here.room.slowUntil, null, 'a host does not wait');
});

test('an older film is ignored, the same one again is a new anchor', async () => {
  const here = visit();
  await here.come();
  here.playback({ version: 5, time: 10 });
  here.playback({ version: 4, time: 9 });
  assert.equal(here.room.playback.time, 10);
  here.playback({ version: 5, time: 12, server_time: 2_001 });
  assert.equal(here.of('playback').map(({ time }) => time), [0, 10, 12]);
});

test('saying something resolves with the message as it was stored', async () => {
  const here = visit();
  await here.come();
  const done = here.room.say('  hello ');
  const [sent] = here.socket.of('CHAT_MESSAGE');
  assert.equal(sent.message, 'hello');
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(1, 'not mine', { client_id: sent.client_id }) });
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(2, 'hello', { client_id: sent.client_id, user_id: BO.id }) });
  assert.equal((await done).seq, 2);
});

test('what was not answered is sent again after a reconnect, with the same client_id and in order', async () => {
  const here = visit();
  await here.come();
  const done = ['one', 'two'].map((text) => here.room.say(text));
  const before = here.socket.of('CHAT_MESSAGE');
  await here.fallBack();
  here.socket.isDead = false;
  // The first had arrived: the history has it.
  await here.welcome([said(1, 'one', { client_id: before[0].client_id, user_id: BO.id })], { resumed: true });
  assert.equal(here.socket.of('CHAT_MESSAGE'), [before[1]]);
  here.socket.hear({ type: 'CHAT_MESSAGE', ...said(2, 'two', { client_id: before[1].client_id, user_id: BO.id }) });
  assert.equal((await Promise.all(done)).map(({ seq }) => seq), [1, 2]);
});

test('what is said while away goes out by and by, so that it is not too much at once', async () => {
  const here = visit();
  await here.come();
  here.socket.end(1006);
  for (let n = 0; n < 6; n += 1) here.room.say(`m${n}`).catch(() => {});
  await here.time.until(() => here.sockets.length === 2);
  await here.welcome([], { resumed: true });
  assert.equal(here.socket.of('CHAT_MESSAGE').map(({ message }) => message), ['m0', 'm1', 'm2']);
  here.room.say('last').catch(() => {});
  await here.time.pass(5_000);
  const all = here.socket.of('CHAT_MESSAGE').map(({ message }) => message);
  assert.equal(all, ['m0', 'm1', 'm2', 'm3', 'm4', 'm5', 'last']);
});

test('a refused message rejects, with what the server says', async () => {
  const here = visit();
  await here.come();
  const done = here.room.say('hello');
  const [{ client_id }] = here.socket.of('CHAT_MESSAGE');
  here.socket.hear({ type: 'ERROR', code: 'RATE_LIMITED', message: 'Slow down', client_id, retry_in_ms: 9_000 });
  await assert.rejects(done, (error) => {
    assert.ok(error instanceof RoomError);
    assert.equal([error.code, error.message, error.retryInMs], ['RATE_LIMITED', 'Slow down', 9_000]);
  });
  assert.equal(here.of('refused').length, 1);
});

test('what can never be said is refused here', async () => {
  const here = visit();
  await here.come();
  for (const text of ['', '   ', 'x'.repeat(501)]) {
    await assert.rejects(here.room.say(text), ({ code }) => assert.equal(code, 'INVALID'));
  }
  here.room.say('🎬'.repeat(500)).catch(() => {});
  assert.equal(here.socket.of('CHAT_MESSAGE').length, 1);
});

test('no message waits for ever, and only so many wait', async () => {
  const here = visit();
  await here.come();
  here.socket.end(1006);
  const codes = [];
  for (let n = 0; n < 33; n += 1) here.room.say('x').catch(({ code }) => codes.push(code));
  await here.time.pass(10);
  assert.equal(codes, ['TRY_AGAIN']);
  await here.time.pass(125_000);
  assert.equal(codes.slice(1), Array(32).fill('TIMEOUT'));
});

test('a close below 4100 is the end; messages under way are given up', async () => {
  for (const code of [4002, 4003, 4004, 4005, 4010, 4011, 4077]) {
    const here = visit();
    await here.come();
    const done = here.room.say('x');
    here.socket.end(code, 'WORD');
    await assert.rejects(done, (error) => assert.equal(error.code, 'CLOSED'));
    await here.time.pass(120_000);
    assert.equal([here.room.status, here.room.closeCode, here.sockets.length, here.time.pending], ['closed', code, 1, 0]);
    assert.equal(here.of('closed').map((detail) => [detail.code, detail.reason]), [[code, 'WORD']]);
  }
});

test('each other close is come back from', async () => {
  for (const code of [1005, 1006, 1009, 1011, 1012, 1013, 4100, 4101, 4102, 4104, 4105, 4199]) {
    const here = visit();
    await here.come();
    await here.fallBack(code);
    await here.welcome();
    assert.equal(here.room.status, 'open', `${code}`);
  }
});

test('it comes back when the server says, the first time exactly then', async () => {
  const here = visit();
  await here.come();
  here.socket.end(1012, '{"retry_in_ms":7000}');
  assert.equal([here.room.status, here.room.retryAt], ['waiting', here.time.now() + 7_000]);
  await here.time.pass(6_999);
  assert.equal(here.sockets.length, 1);
  await here.time.pass(2);
  assert.equal(here.sockets.length, 2);
  here.socket.end(1013, '{"retry_in_ms":10}');
  assert.ok(here.room.retryAt - here.time.now() >= 250, 'a hint is no reason to knock without a pause');
});

test('pauses double up to half a minute, and begin anew after a connection that held', async () => {
  const here = visit();
  await here.dial();
  const pauses = [];
  for (let n = 0; n < 10; n += 1) {
    here.socket.end(1006);
    pauses.push(here.room.retryAt - here.time.now());
    await here.time.pass(pauses.at(-1) + 1);
  }
  for (const [n, pause] of pauses.entries()) {
    const full = Math.min(30_000, 500 * 2 ** n);
    assert.ok(pause >= full / 2 && pause < full, `${pause} of ${full}`);
  }
  await here.welcome();
  await here.time.pass(9_000);
  here.answering();
  await here.time.pass(2_000);
  here.socket.end(1006);
  assert.ok(here.room.retryAt - here.time.now() <= 500);
});

test('reasons that are not ours are no reason to fail', async () => {
  for (const reason of ['', '{', 'null', '5', '{"retry_in_ms":"1"}', '{"retry_in_ms":-5}', '{"retry_in_ms":1e300}']) {
    const here = visit();
    await here.come();
    here.socket.end(1013, reason);
    assert.equal(here.room.status, 'waiting', reason);
    assert.ok(here.room.retryAt - here.time.now() <= 600_000, reason);
  }
});

test('a refused token is exchanged once, and then it is over', async () => {
  const here = visit();
  await here.dial();
  here.socket.end(4001);
  await here.time.pass(0);
  assert.equal([here.tokens, here.socket.url.searchParams.get('token')], [[undefined, 'token 1'], 'token 2']);
  here.socket.end(4001);
  await here.time.pass(60_000);
  assert.equal([here.room.status, here.sockets.length], ['closed', 2]);
});

test('a server that refuses every token is not asked without end', async () => {
  let n = 0;
  const here = visit({ token: async () => `token ${(n += 1)}` });
  await here.dial();
  for (let round = 0; round < 5 && here.room.status !== 'closed'; round += 1) {
    here.socket.end(4001);
    await here.time.pass(10);
  }
  assert.equal([here.room.status, here.sockets.length], ['closed', 2]);
});

test('a server that lets one in and then refuses the token is not asked without end either', async () => {
  let n = 0;
  const here = visit({ token: async () => `token ${(n += 1)}` });
  await here.come();
  for (let round = 0; round < 5 && here.room.status !== 'closed'; round += 1) {
    here.socket.end(4001);
    await here.time.pass(10);
    if (here.room.status === 'connecting') await here.welcome();
  }
  assert.equal([here.room.status, here.sockets.length], ['closed', 2]);
  const steady = visit({ token: async () => `token ${(n += 1)}` });
  await steady.come();
  steady.answering();
  for (let round = 0; round < 3; round += 1) {
    steady.socket.end(4001);
    await steady.time.pass(0);
    await steady.welcome();
    steady.answering();
    await steady.time.pass(11_000);
  }
  assert.equal(steady.room.status, 'open', 'much later it is another token that has ended');
});

test('a token that gets no better is not tried again', async () => {
  const here = visit({ token: async () => 'the same' });
  await here.dial();
  here.socket.end(4001);
  await here.time.pass(60_000);
  assert.equal([here.room.status, here.room.closeCode, here.sockets.length], ['closed', 4001, 1]);
});

test('while the server of the tokens is away it is tried again', async () => {
  let isAway = true;
  const here = visit({ token: async () => { if (isAway) throw new Error('away'); return 'token 1'; } });
  await here.dial();
  assert.equal([here.room.status, here.sockets.length], ['waiting', 0]);
  isAway = false;
  await here.time.until(() => here.sockets.length === 1);
});

test('a server of tokens that asks for patience gets it', async () => {
  const here = visit({ token: async () => { throw new ApiError(429, { code: 'RATE_LIMITED' }, 45); } });
  await here.dial();
  assert.ok(here.room.retryAt - here.time.now() >= 45_000, here.room.retryAt);
});

test('a server that never lets one in is given up', async () => {
  const here = visit();
  await here.dial();
  here.participants();
  const first = here.socket;
  await here.time.until(() => here.sockets.length === 2);
  assert.equal(first.closed, 3000);
  first.hear({ type: 'USER_JOINED', user: 'X', user_id: 'x' });
  assert.equal(here.of('joined'), [], 'what the old one says is not listened to');
});

test('an error that no close follows is a loss, too', async () => {
  const here = visit();
  await here.dial();
  here.socket.onerror();
  await here.time.until(() => here.sockets.length === 2, 3_000);
});

test('leaving while it connects closes what opens later', async () => {
  const here = visit();
  await here.dial();
  here.socket.readyState = 0;
  here.room.close();
  assert.equal(here.socket.closed, null);
  here.socket.onopen();
  assert.equal([here.socket.closed, here.room.status, here.time.pending], [1000, 'closed', 0]);
});

test('the word that a server closes with is told', async () => {
  for (const [reason, word] of [['KICKED', 'KICKED'], ['{"retry_in_ms":5}', ''], ['<b>', '']]) {
    const here = visit();
    await here.come();
    here.socket.end(4011, reason);
    assert.equal([here.room.closeReason, here.of('closed')[0].reason], [word, word]);
  }
});

test('a network that went away without a word is noticed', async () => {
  const here = visit();
  await here.come();
  here.answering();
  await here.time.pass(60_000);
  assert.equal(here.sockets.length, 1);
  here.socket.isDead = true;
  const since = here.time.now();
  await here.time.until(() => here.sockets.length === 2);
  assert.ok(here.time.now() - since < 25_000);
});

test('when the network is back it does not wait any longer, but never comes before it was told to', async () => {
  const here = visit();
  await here.come();
  for (let n = 0; n < 6; n += 1) await here.fallBack();
  here.socket.end(1006);
  assert.ok(here.room.retryAt - here.time.now() > 5_000);
  here.page.dispatchEvent(new Event('online'));
  await here.time.pass(1);
  const before = here.sockets.length;
  here.socket.end(1012, '{"retry_in_ms":60000}');
  here.page.dispatchEvent(new Event('online'));
  await here.time.pass(50_000);
  assert.equal(here.sockets.length, before);
  await here.time.pass(11_000);
  assert.equal(here.sockets.length, before + 1);
});

test('leaving says so, and leaves nothing behind', async () => {
  const here = visit();
  await here.come();
  const { socket } = here;
  here.room.close();
  assert.equal([socket.closed, here.room.status, here.room.closeCode], [1000, 'closed', 1000]);
  socket.hear({ type: 'USER_JOINED', user: 'X', user_id: 'x' });
  here.page.dispatchEvent(new Event('online'));
  await here.time.pass(100_000);
  assert.equal([here.of('joined'), here.sockets.length, here.time.pending], [[], 1, 0]);
  await assert.rejects(here.room.say('x'), ({ code }) => assert.equal(code, 'CLOSED'));
  await here.come();
  assert.equal(here.room.status, 'open', 'one may come again');
});

test('leaving while the token is fetched opens nothing', async () => {
  const here = visit();
  here.room.connect();
  here.room.close();
  await here.time.pass(60_000);
  assert.equal([here.sockets.length, here.room.status], [0, 'closed']);
});

test('who is here is kept up to date', async () => {
  const here = visit();
  await here.come();
  here.socket.hear({ type: 'USER_JOINED', user: 'Cy', user_id: 'cy' });
  here.socket.hear({ type: 'USER_JOINED', user: 'Cy', user_id: 'cy' });
  assert.equal([here.room.online, here.room.members.map(({ name }) => name)], [3, ['Ana', 'Bo', 'Cy']]);
  here.socket.hear({ type: 'USER_LEFT', user: 'Ana', user_id: ANA.id });
  assert.equal([here.room.online, here.room.isHostOnline], [2, false]);
  here.socket.hear({ type: 'USER_JOINED', user: 'Ana', user_id: ANA.id });
  assert.equal([here.room.isHostOnline, here.room.members.at(-1).role], [true, 'HOST']);
  here.socket.hear({ type: 'HOST_DISCONNECTED', grace_seconds: 30 });
  assert.equal(here.room.isHostOnline, false);
  here.socket.hear({ type: 'HOST_RECONNECTED' });
  assert.equal([here.room.isHostOnline, here.of('hostaway').length, here.of('hostback').length], [true, 1, 1]);
  here.socket.hear({ type: 'USER_LEFT', user: 'Ana', user_id: ANA.id });
  here.socket.hear({ type: 'HOST_CHANGED', host: 'Bo', host_id: BO.id });
  assert.equal([here.room.host, here.room.mayControl, here.room.isHostOnline], ['Bo', true, true]);
  here.socket.hear({ type: 'ROOM_UPDATED', online: 300 });
  assert.equal(here.room.online, 300);
  here.participants({ you: undefined, members: [{ ...BO, role: 'COHOST' }], online: 1, is_host_online: false });
  assert.equal([here.room.you.role, here.room.mayControl, here.room.online], ['COHOST', true, 1]);
});

test('settings, thresholds and the source are those told last', async () => {
  const here = visit();
  await here.come();
  assert.equal(here.room.drift, { enter_ms: 60, leave_ms: 20, seek_ms: 1200 });
  const drift = { enter_ms: 100, leave_ms: 30, seek_ms: 2_000 };
  here.socket.hear({ type: 'ROOM_UPDATED', is_chat_enabled: false, readiness: 'strict', drift });
  assert.equal([here.room.drift, here.room.settings.is_chat_enabled, here.room.online], [drift, false, 2]);
  const source = { url: 'https://example.org/a.mp4', title: 'A', video_provider: null, video_id: null };
  here.socket.hear({ type: 'SOURCE_CHANGED', ...source });
  assert.equal(here.room.source, source);
  await here.fallBack();
  here.participants({ source: { ...source, title: 'B' } });
  assert.equal([here.room.source.title, here.of('source').length], ['B', 2]);
});

test('readiness is told again after a reconnect, and only to servers that know it', async () => {
  const here = visit();
  await here.come();
  here.room.ready(3);
  here.room.buffering(12.5);
  assert.equal(here.socket.sent.filter(({ type }) => type !== 'PING'), [
    { type: 'READY', position: 3 }, { type: 'BUFFERING', position: 12.5 },
  ]);
  const waiting = { type: 'READINESS', mode: 'strict', waiting: [], count: 1, held: true, hold_until: 5 };
  here.socket.hear(waiting);
  assert.equal(here.room.readiness, waiting);
  await here.fallBack();
  await here.welcome();
  assert.equal([here.socket.of('BUFFERING').length, here.room.readiness], [1, null]);
  assert.equal(here.of('readiness').map(({ count }) => count), [1, 0], 'nobody is waited for any more, as far as one knows');
  await here.fallBack();
  here.participants({ readiness: undefined });
  here.socket.hear({ type: 'ROOM_UPDATED', readiness: 'off' });
  here.history();
  here.playback();
  assert.equal(here.socket.of('BUFFERING').length, 0);
});

test('commands go out while connected, and are not kept', async () => {
  const here = visit();
  assert.equal(here.room.play(), false);
  await here.come();
  assert.equal([here.room.play(), here.room.play(5), here.room.pause(), here.room.seek(7)], [true, true, true, true]);
  assert.equal(here.socket.sent.filter(({ type }) => type !== 'PING'), [
    { type: 'PLAY' }, { type: 'PLAY', time: 5 }, { type: 'PAUSE' }, { type: 'SEEK', time: 7 },
  ]);
});

test('frames of a later server and rubbish are ignored', async () => {
  const here = visit();
  await here.come();
  const before = here.events.length;
  for (const text of ['{', 'null', '[]', '5', '{}', '{"type":"DANCE"}', '{"type":5}', '{"type":"PONG"}']) here.socket.hear(text);
  assert.equal([here.events.length, here.room.status], [before, 'open']);
});

test('the clock is measured at once, and now and then', async () => {
  const here = visit();
  await here.come();
  here.answering(5_000_000, 20);
  await here.time.pass(1_200);
  assert.equal(here.room.clock.isReady, true);
  assert.near(here.room.clock.offset, 5_000_000, here.room.clock.bound);
  const before = here.socket.of('PING').length;
  assert.ok(before <= 10, `${before}`);
  await here.time.pass(60_000);
  assert.near(here.socket.of('PING').length - before, 20, 2);
});

test('a machine that slept, or whose clock was set, measures anew', async () => {
  const here = visit();
  await here.come();
  here.answering();
  await here.time.pass(10_000);
  const before = here.socket.of('PING').length;
  here.wall.offset += 3_600_000;
  await here.time.pass(4_000);
  assert.ok(here.socket.of('PING').length - before >= 8);
  assert.near(here.room.clock.offset, 1_000_000, here.room.clock.bound, 'setting the clock changes nothing');
});

test('a room clock that jumps is measured anew at once', async () => {
  const here = visit();
  await here.come();
  here.answering();
  await here.time.pass(10_000);
  here.ahead = 1_000_700;
  await here.time.pass(4_500);
  assert.near(here.room.clock.offset, 1_000_700, here.room.clock.bound);
  assert.equal(here.room.clock.isReady, true);
});

test('a film that begins later than any can tells that the room\'s clock was set', async () => {
  const here = visit();
  await here.come();
  here.answering();
  await here.time.pass(10_000);
  here.ahead = 4_600_000;
  here.playback({ version: 9, is_playing: true, server_time: here.time.now() + here.ahead + 150 });
  assert.ok(Number.isNaN(here.room.clock.now()), 'nobody knows the time now');
  await here.time.pass(1_500);
  assert.near(here.room.clock.offset, 4_600_000, here.room.clock.bound);
  assert.equal(here.room.clock.isReady, true);
});

test('a listener may leave at any moment', async () => {
  const here = visit();
  here.room.addEventListener('status', () => here.room.status === 'open' && here.room.close());
  await here.come();
  await here.time.pass(60_000);
  assert.equal([here.room.status, here.sockets.length, here.time.pending], ['closed', 1, 0]);
});

test('where there are no WebSockets one is told at once', () => {
  const here = visit({ WebSocket: null });
  let error;
  try {
    here.room.connect();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof TypeError);
  assert.equal([here.room.status, here.time.pending], ['idle', 0]);
});

test('a socket that can\'t even be made is tried again, without a word about its address', async () => {
  const here = visit({ WebSocket: class { constructor(url) { throw new SyntaxError(url); } } });
  await here.dial();
  assert.equal(here.room.status, 'waiting');
});

test('the table of close codes agrees with the rule of the ranges', () => {
  for (const [code, { action, meaning }] of Object.entries(CLOSE)) {
    assert.ok(meaning.length > 0);
    assert.equal(action === 'reconnect', !(code >= 4000 && code < 4100) && Number(code) !== 1000, code);
  }
  assert.equal([closeAction(4042), closeAction(4150), closeAction(1014)], ['stop', 'reconnect', 'reconnect']);
});
