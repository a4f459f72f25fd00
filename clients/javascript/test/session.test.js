import { ApiError, Room } from '../streamit.js';
import { Shelf, service, tokens } from './fakes/network.js';
import { settle } from './fakes/time.js';
import { assert, test } from './harness.js';

const REFUSED = [401, { error: 'Authentication required', code: 'UNAUTHENTICATED' }];

/** An api that logs in with tokens 1, gives the next pair for each refresh, and takes only the latest. */
function honest({ answer, ...options } = {}) {
  const state = { n: 1, used: new Set() };
  const here = service((call, init) => {
    const special = answer?.(call, state, init);
    if (special) return special;
    if (/guest|login|register/.test(call.path)) return [200, tokens(state.n)];
    if (call.path.includes('refresh')) {
      if (call.body.refresh_token !== `refresh ${state.n}`) return [401, { error: 'Ended', code: 'SESSION_REVOKED' }];
      state.n += 1;
      return [200, tokens(state.n)];
    }
    return call.headers.authorization === `Bearer access ${state.n}` ? [200, { by: state.n }] : REFUSED;
  }, options);
  return { ...here, state };
}

test('coming in as a guest, logging in and registering give a session', async () => {
  const here = honest();
  await here.api.guest('Ana');
  await here.api.login('a@example.org', 'correct horse');
  await here.api.register('a@example.org', 'correct horse', 'Ana');
  assert.equal(here.calls.map(({ path, body }) => [path, body]), [
    ['/api/auth/guest/', { display_name: 'Ana' }],
    ['/api/auth/login/', { email: 'a@example.org', password: 'correct horse' }],
    ['/api/auth/register/', { email: 'a@example.org', password: 'correct horse', display_name: 'Ana' }],
  ]);
  assert.equal([here.api.session.display_name, here.sessions.length], ['Ana', 3]);
});

test('calls show who one is, and give what the server answers', async () => {
  const here = honest({ answer: ({ path }) => path.includes('rooms') && [201, { code: 'AB12CD' }] });
  await here.api.guest('Ana');
  assert.equal(await here.api.createRoom({ isPrivate: true, entryMode: 'APPROVAL' }), { code: 'AB12CD' });
  await here.api.joinRoom('AB12CD', 'secret');
  await here.api.on('AB12CD', 'kick', { user_id: 'bo' });
  await here.api.detail('a/b');
  assert.equal(here.calls.slice(1).map(({ method, path, body }) => [method, path, body]), [
    ['POST', '/api/rooms/create/', { is_private: true, entry_mode: 'APPROVAL' }],
    ['POST', '/api/rooms/join/', { code: 'AB12CD', password: 'secret' }],
    ['POST', '/api/rooms/kick/', { code: 'AB12CD', user_id: 'bo' }],
    ['GET', '/api/rooms/a%2Fb/', null],
  ]);
  assert.ok(here.calls.slice(1).every(({ headers }) => headers.authorization === 'Bearer access 1'));
});

test('keeping order: each call is the server\'s', async () => {
  const here = honest({ answer: ({ path }) => path.includes('rooms') && [200, { erased: 2 }] });
  await here.api.guest('Ana');
  assert.equal(await here.api.erase('AB12CD', { seq: 7 }), { erased: 2 });
  await here.api.erase('AB12CD', { user_id: 'bo' });
  await here.api.report('AB12CD', { seq: 7, reason: 'SPAM' });
  await here.api.bans('AB12CD');
  await here.api.audit('AB12CD');
  await here.api.audit('AB12CD', { before: 'e1', limit: 20, action: 'moderation.banned' });
  assert.equal(here.calls.slice(1).map(({ method, path, search, body }) => [method, path + search, body]), [
    ['POST', '/api/rooms/erase/', { code: 'AB12CD', seq: 7 }],
    ['POST', '/api/rooms/erase/', { code: 'AB12CD', user_id: 'bo' }],
    ['POST', '/api/rooms/report/', { code: 'AB12CD', seq: 7, reason: 'SPAM' }],
    ['GET', '/api/rooms/AB12CD/bans/', null],
    ['GET', '/api/rooms/AB12CD/audit/', null],
    ['GET', '/api/rooms/AB12CD/audit/?before=e1&limit=20&action=moderation.banned', null],
  ]);
});

test('a refusal tells all that the server said', async () => {
  const here = honest({
    answer: () => [429, { error: 'Slow down', code: 'RATE_LIMITED', fields: { name: 'no' } }, { 'retry-after': '7' }],
  });
  await assert.rejects(here.api.guest('Ana'), (error) => {
    assert.ok(error instanceof ApiError);
    const { status, code, message, fields, retryAfter } = error;
    assert.equal([status, code, message, fields, retryAfter], [429, 'RATE_LIMITED', 'Slow down', { name: 'no' }, 7]);
  });
});

test('a server that can\'t be reached, or that talks rubbish, is an ApiError, too', async () => {
  for (const [answer, status, code] of [
    [new TypeError('failed to fetch https://secret'), 0, 'UNREACHABLE'],
    [[502, '<html>'], 502, 'BAD_ANSWER'],
    [[200, 'x'], 200, 'BAD_ANSWER'],
    [[500, 'null'], 500, 'BAD_ANSWER'],
  ]) {
    const here = service(() => answer);
    await assert.rejects(here.api.call('GET', '/api/health/'), (error) => {
      assert.equal([error.name, error.status, error.code, error.message.includes('secret')], ['ApiError', status, code, false]);
    });
  }
});

test('no call waits without end', async () => {
  const here = service((call, { signal }) => new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')));
  }));
  const done = here.api.call('GET', '/api/health/');
  done.catch(() => {});
  await here.time.pass(21_000);
  await assert.rejects(done, ({ code }) => assert.equal(code, 'UNREACHABLE'));
  assert.equal(here.time.pending, 0);
});

test('a token is exchanged a minute before it ends, once for all who ask', async () => {
  const here = honest();
  await here.api.guest('Ana');
  await here.time.pass(3_530_000);
  assert.equal(await here.api.token(), 'access 1');
  await here.time.pass(20_000);
  assert.equal(await Promise.all([here.api.token(), here.api.token(), here.api.token()]), Array(3).fill('access 2'));
  assert.equal(here.paths().filter((path) => path.includes('refresh')).length, 1);
});

test('setting the machine\'s clock ends no token', async () => {
  const here = honest();
  await here.api.guest('Ana');
  here.wall.offset += 1e10;
  assert.equal(await here.api.token(), 'access 1');
});

test('a refused token is exchanged and the call made once more', async () => {
  let isFirst = true;
  const stubborn = honest({
    answer: ({ path }) => {
      if (!path.includes('/me/') || !isFirst) return undefined;
      isFirst = false;
      return REFUSED;
    },
  });
  await stubborn.api.guest('Ana');
  assert.equal(await stubborn.api.me(), { by: 2 });
});

test('a call that is refused again is not repeated without end', async () => {
  const here = honest({ answer: ({ path }) => path.includes('/me/') && REFUSED });
  await here.api.guest('Ana');
  await assert.rejects(here.api.me(), ({ status }) => assert.equal(status, 401));
  assert.equal(here.paths().filter((path) => path.includes('/me/')).length, 2);
});

test('a session that has ended is forgotten', async () => {
  const here = honest({ answer: ({ path }) => path.includes('/me/') && [401, { error: 'x', code: 'SESSION_REVOKED' }] });
  await here.api.guest('Ana');
  await assert.rejects(here.api.me());
  assert.equal([here.api.session, here.sessions.at(-1)], [null, null]);
  await assert.rejects(here.api.token(), ({ status, code }) => assert.equal([status, code], [401, 'UNAUTHENTICATED']));
});

test('a refresh that is refused ends the session, one that fails does not', async () => {
  let told = [503, { error: 'x', code: 'TRY_AGAIN' }];
  const here = honest({ answer: ({ path }) => path.includes('refresh') && told });
  await here.api.guest('Ana');
  await assert.rejects(here.api.token('access 1'), ({ status }) => assert.equal(status, 503));
  assert.equal(here.api.session.access_token, 'access 1');
  await here.time.pass(3_550_000);
  assert.equal(await here.api.token(), 'access 1', 'good for a minute yet');
  told = [401, { error: 'x', code: 'SESSION_REVOKED' }];
  await assert.rejects(here.api.token(), ({ status }) => assert.equal(status, 401));
  assert.equal(here.api.session, null);
});

test('logging out forgets at once and tells the server', async () => {
  const here = honest({ answer: ({ path }) => path.includes('logout') && [200, { success: true }] });
  await here.api.guest('Ana');
  const done = here.api.logout();
  assert.equal(here.api.session, null);
  await done;
  assert.equal(here.calls.at(-1).headers.authorization, 'Bearer access 1');
});

test('a refresh that comes back after a logout changes nothing', async () => {
  let release;
  const gate = new Promise((resolve) => { release = resolve; });
  const here = honest({
    answer: ({ path }) => {
      if (path.includes('logout')) return [200, { success: true }];
      return path.includes('refresh') ? gate.then(() => [200, tokens(9)]) : undefined;
    },
  });
  await here.api.guest('Ana');
  const late = here.api.token('access 1');
  late.catch(() => {});
  await here.api.logout();
  release();
  await settle();
  await assert.rejects(late, ({ code }) => assert.equal(code, 'UNAUTHENTICATED'));
  assert.equal(here.api.session, null);
});

test('without a storage nothing is kept; with one the next page finds the session', async () => {
  const shelf = new Shelf();
  const here = honest();
  await here.api.guest('Ana');
  assert.equal(here.make().session, null);
  const kept = here.make({ storage: shelf });
  await kept.guest('Ana');
  await here.time.pass(1_000_000);
  const found = here.make({ storage: shelf });
  assert.equal(found.session.access_token, 'access 1');
  assert.equal(await found.token(), 'access 1');
  await here.time.pass(2_600_000);
  assert.equal(await found.token(), 'access 2');
  assert.equal(here.make({ storage: shelf }).session.access_token, 'access 2');
  found.forget();
  assert.equal([shelf.kept.size, here.make({ storage: shelf }).session], [0, null]);
});

test('a storage that is broken or forbidden is no reason to fail', async () => {
  const here = honest();
  const fail = () => { throw new Error('SecurityError'); };
  const api = here.make({ storage: { getItem: fail, setItem: fail, removeItem: fail } });
  await api.guest('Ana');
  assert.equal(api.session.display_name, 'Ana');
  for (const text of ['{', 'null', '{"access_token":5}', '[]']) {
    const shelf = new Shelf();
    shelf.setItem('streamit.session', text);
    assert.equal(here.make({ storage: shelf }).session, null, text);
  }
});

test('two tabs with one storage do not use a refresh token twice', async () => {
  const shelf = new Shelf();
  const here = honest();
  const one = here.make({ storage: shelf });
  await one.guest('Ana');
  const two = here.make({ storage: shelf });
  await here.time.pass(3_550_000);
  assert.equal(await one.token(), 'access 2');
  await here.time.pass(600_000);
  assert.equal(await two.token(), 'access 2');
  assert.equal(here.paths().filter((path) => path.includes('refresh')).length, 1);
});

test('a duplicated tab, which has a storage of its own, hears of new tokens', async () => {
  const listeners = new Set();
  class Channel {
    onmessage = null;
    constructor() { listeners.add(this); }
    postMessage(data) { for (const other of listeners) if (other !== this) other.onmessage?.({ data }); }
  }
  const [first, copy, stranger] = [new Shelf(), new Shelf(), new Shelf()];
  const here = honest();
  const one = here.make({ storage: first, BroadcastChannel: Channel });
  await one.guest('Ana');
  copy.setItem('streamit.session', first.getItem('streamit.session'));
  stranger.setItem('streamit.session', JSON.stringify({ ...one.session, id: 'bo-1', refresh_token: 'other' }));
  const two = here.make({ storage: copy, BroadcastChannel: Channel });
  const other = here.make({ storage: stranger, BroadcastChannel: Channel });
  await one.token('access 1');
  assert.equal([two.session.access_token, JSON.parse(copy.getItem('streamit.session')).refresh_token], ['access 2', 'refresh 2']);
  assert.equal(other.session.refresh_token, 'other');
});

test('a room is found where the api is, or where it is told to be', async () => {
  const here = honest();
  await here.api.guest('Ana');
  for (const [options, expected] of [
    [{}, 'wss://example.org/ws/room/AB12CD/?token=access+1'],
    [{ wsBase: 'ws://10.0.0.1:8001' }, 'ws://10.0.0.1:8001/ws/room/AB12CD/?token=access+1'],
  ]) {
    const urls = [];
    const api = here.make({ ...options, WebSocket: class { constructor(url) { urls.push(url); } send() {} close() {} } });
    await api.guest('Ana');
    const room = api.room('AB12CD', { page: null });
    assert.ok(room instanceof Room);
    room.connect();
    await settle();
    assert.equal(urls, [expected]);
    room.close();
  }
});

test('a tab whose session has ended takes nobody else\'s with it', async () => {
  const shelf = new Shelf();
  const here = honest({ answer: ({ path }) => path.includes('/me/') && [401, { error: 'x', code: 'SESSION_REVOKED' }] });
  const one = here.make({ storage: shelf });
  await one.guest('Ana');
  const other = JSON.stringify({ ...one.session, id: 'bo-1', access_token: 'of Bo', refresh_token: 'of Bo' });
  shelf.setItem('streamit.session', other);
  await assert.rejects(one.me());
  assert.equal([one.session, shelf.getItem('streamit.session')], [null, other]);
  await one.guest('Ana');
  shelf.setItem('streamit.session', other);
  await one.logout().catch(() => {});
  assert.equal(shelf.getItem('streamit.session'), other);
});

test('a tab whose refresh comes too late goes on with what another tab has got', async () => {
  const shelf = new Shelf();
  let newer;
  const here = honest({
    answer: ({ path }) => {
      if (!path.includes('refresh')) return undefined;
      shelf.setItem('streamit.session', JSON.stringify(newer));
      return [401, { error: 'Ended', code: 'SESSION_REVOKED' }];
    },
  });
  const one = here.make({ storage: shelf });
  await one.guest('Ana');
  newer = { ...one.session, ...tokens(2), obtained_at: here.wall.now() };
  assert.equal(await one.token('access 1'), 'access 2');
  assert.equal([one.session.refresh_token, JSON.parse(shelf.getItem('streamit.session')).refresh_token], ['refresh 2', 'refresh 2']);
});

test('a storage that took no more does not bring back a token that was used', async () => {
  const shelf = new Shelf();
  const here = honest();
  const one = here.make({ storage: shelf });
  await one.guest('Ana');
  shelf.setItem = () => { throw new Error('QuotaExceededError'); };
  assert.equal(await one.token('access 1'), 'access 2');
  assert.equal(await one.token('access 2'), 'access 3');
});

test('a token that lasts a minute is used for most of it', async () => {
  const here = honest({ answer: ({ path }) => path.includes('guest') && [200, tokens(1, { expires_in: 60 })] });
  await here.api.guest('Ana');
  await here.time.pass(20_000);
  assert.equal(await here.api.token(), 'access 1');
  await here.time.pass(30_000);
  assert.equal(await here.api.token(), 'access 2');
});
