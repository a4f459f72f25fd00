/** What the watch page says, and when. How it looks and works is gone through in browsers, in services/e2e. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

import { busy, clockTime, countdown, names, refusal } from '../../src/page/dom.js';
import { addressOf, hindrance, isAddress, titleOf } from '../../src/page/film.js';
import { codeOfClose, gone, mayPass } from '../../src/page/gone.js';
import { notice, waitingFor } from '../../src/page/notices.js';
import { Steps, retryIn } from '../../src/page/steps.js';
import { Store } from '../../src/page/store.js';
import { codeIn, isCode } from '../../src/page/view-enter.js';

const PAGE = new URL('../../src/page/', import.meta.url);
const read = (name) => readFileSync(new URL(name, PAGE), 'utf8');

/** A room in which nothing is the matter, with Ana as its host and Bo looking. */
function evening(room = {}, state = {}) {
  return {
    wasOpen: true, hostAwayUntil: null, news: null, filmError: null, isPicking: false, ...state,
    room: {
      status: 'open', closeCode: null, retryAt: null, isHostOnline: true, host: 'Ana', hostId: 'a', you: { id: 'b' },
      readiness: null, clock: { now: () => 1_000 }, ...room,
    },
  };
}
const soon = () => performance.now() + 5_000;

test('nothing is said while nothing is the matter', () => {
  assert.equal(notice(evening()), null);
  assert.equal(waitingFor(evening()), null);
  assert.equal(notice({ room: null }), null);
});

test('a lost connection matters more than a film that fails, that more than news, and those more than the host', () => {
  const room = { status: 'waiting', retryAt: soon(), isHostOnline: false };
  const state = { filmError: 'no film', news: { text: 'news', until: soon() }, hostAwayUntil: soon() };
  assert.match(notice(evening(room, state)).text, /connection is lost/);
  room.status = 'open';
  assert.equal(notice(evening(room, state)).text, 'no film');
  state.filmError = null;
  assert.equal(notice(evening(room, state)).text, 'news');
  state.news.until = 0;
  assert.match(notice(evening(room, state)).text, /^Ana is away/);
  room.isHostOnline = true;
  assert.equal(notice(evening(room, state)), null);
});

test('why the connection ended is told where it is known', () => {
  const lost = (closeCode) => notice(evening({ status: 'waiting', closeCode, retryAt: soon() }));
  assert.match(lost(1012).text, /restarts/);
  assert.match(lost(1013).text, /No place/);
  assert.match(lost(1006).text, /connection is lost/);
  assert.match(notice(evening({ status: 'connecting' })).text, /Reconnecting/);
});

test('only the host is asked to pick another film', () => {
  assert.equal(notice(evening({}, { filmError: 'x' })).act, undefined);
  assert.equal(notice(evening({ hostId: 'b' }, { filmError: 'x' })).act, 'Pick another');
  assert.equal(notice(evening({ hostId: 'b' }, { filmError: 'x', isPicking: true })).act, undefined);
});

test('an absent host is waited for with a countdown while the grace lasts, and without one after it', () => {
  const away = (hostAwayUntil) => notice(evening({ isHostOnline: false }, { hostAwayUntil }));
  assert.ok(away(soon()).until > 0);
  assert.equal(away(0).until, undefined);
  assert.equal(away(NaN).until, undefined, 'away before we came');
});

test('who is waited for is named, oneself last of all things that are obvious', () => {
  const waiting = [{ user: 'Bo', user_id: 'b' }, { user: 'Cy', user_id: 'c' }];
  const soft = (list, count = list.length) => waitingFor(evening({ readiness: { waiting: list, count, held: false } }))?.text;
  assert.equal(soft(waiting), 'Cy is loading');
  assert.equal(soft(waiting.slice(0, 1)), undefined, 'one sees one’s own film');
  assert.equal(soft(waiting.slice(1), 30), 'Cy and 29 others are loading');
  const held = waitingFor(evening({ readiness: { waiting, count: 2, held: true, hold_until: 9_000 } }));
  assert.equal(held.text, 'Waiting for you and Cy');
  assert.ok(Math.abs(held.until - performance.now() - 8_000) < 1_000);
});

test('names are joined as people do', () => {
  assert.equal(names(['Ana']), 'Ana');
  assert.equal(names(['Ana', 'Bo', 'Cy']), 'Ana, Bo and Cy');
  assert.equal(names(['Ana', 'Bo', 'Cy', 'Di']), 'Ana, Bo and 2 others');
});

test('times and countdowns', () => {
  assert.deepEqual([0, 65, 3_725.9, NaN, Infinity].map(clockTime), ['0:00', '1:05', '1:02:05', '–:––', '–:––']);
  assert.deepEqual([1, 1_000, 1_001, 300_000].map(countdown), ['1 s', '1 s', '2 s', '5:00']);
});

test('a code is found in what people type and paste', () => {
  for (const text of ['ab12cd', ' AB1 2CD ', 'AB1-2CD', 'https://example.org/r/ab12cd', 'http://x:8000/r/AB12CD/?y']) {
    assert.equal(codeIn(text), 'AB12CD', text);
    assert.ok(isCode(codeIn(text)), text);
  }
  for (const text of ['', 'AB12C', 'AB12CDE', '../../', 'https://example.org/']) assert.ok(!isCode(codeIn(text)), text);
});

test('there is room in the field of the code for a whole link', () => {
  const [, most] = /id="code"[^>]*maxlength="(\d+)"/.exec(read('index.html'));
  assert.ok(Number(most) >= 'https://a-rather-long-name.of-a-server.example.org:8000/r/AB12CD/'.length, most);
});

test('only what can be fetched is the address of a film', () => {
  for (const text of ['https://example.org/a.mp4', 'HTTP://127.0.0.1:1/']) assert.ok(isAddress(text), text);
  for (const text of ['', 'a.mp4', 'javascript:alert(1)', 'data:video/mp4,', 'file:///a.mp4']) assert.ok(!isAddress(text), text);
});

test('the sample film is found on the server that one is on, others where they are', () => {
  const sample = { url: null, title: null, video_provider: 'streamit', video_id: 'sample' };
  assert.equal(addressOf(sample), '/sample.mp4');
  assert.equal(addressOf({ url: 'https://example.org/a.mp4' }), 'https://example.org/a.mp4');
  assert.equal(addressOf({ url: null, video_provider: 'other', video_id: 'x' }), null);
  assert.equal(addressOf(null), null);
  assert.equal(titleOf({ url: 'https://example.org/films/Big%20Film.mp4' }), 'Big Film.mp4');
  assert.equal(titleOf({ url: 'https://example.org/', title: 'T' }), 'T');
  assert.equal(titleOf({ url: 'https://example.org/%E0%A4%A' }), 'https://example.org/%E0%A4%A');
});

test('a kick and an ended session share a close code and not a view', () => {
  assert.equal(codeOfClose(4011, 'SESSION_REVOKED'), 'SESSION_REVOKED');
  assert.equal(codeOfClose(4011, ''), 'KICKED');
  assert.match(gone('KICKED').text, /ten minutes/);
  assert.equal(gone('BANNED').again, undefined, 'to try again is of no use');
  assert.ok(gone('SOMETHING_NEW', 'Why').again);
  assert.equal(gone('SOMETHING_NEW', 'Why').text, 'Why');
});

test('a refusal is a sentence, with the time to wait where there is one', () => {
  assert.equal(refusal({ code: 'INVALID', message: 'No', fields: { a: 'Too long' } }), 'Too long.');
  assert.equal(refusal({ code: 'FORBIDDEN', message: 'Not allowed', fields: {} }), 'Not allowed.');
  assert.equal(refusal({ code: 'RATE_LIMITED', message: 'Slow down', retryAfter: 3 }), 'Slow down. Try again in 3 s.');
  assert.equal(refusal({ code: 'RATE_LIMITED', message: 'Slow down', retryInMs: 500 }), 'Slow down. Try again in 1 s.');
});

test('many changes at once are drawn once', async () => {
  const store = new Store({ n: 0 });
  const drawn = [];
  const stop = store.watch((state) => drawn.push(state.n));
  store.set({ n: 1 });
  store.set({ n: 2 });
  await null;
  assert.deepEqual(drawn, [0, 2]);
  stop();
  store.set({ n: 3 });
  await null;
  assert.deepEqual(drawn, [0, 2]);
});

test('what the modules reach for is in the page', () => {
  const ids = new Set([...read('index.html').matchAll(/\sid="([^"]+)"/g)].map((found) => found[1]));
  for (const name of readdirSync(PAGE).filter((file) => file.endsWith('.js'))) {
    const text = read(name);
    const wanted = [...text.matchAll(/\$\('([^']+)'\)/g)].map((found) => found[1]);
    for (const [, list] of text.matchAll(/\[([^[\]]+)\]\.map\(\$\)/g)) {
      wanted.push(...[...list.matchAll(/'([^']+)'/g)].map((found) => found[1]));
    }
    for (const id of wanted) assert.ok(ids.has(id), `${name} reaches for #${id}`);
  }
});

test('nothing that people wrote can become markup', () => {
  for (const name of readdirSync(PAGE).filter((file) => file.endsWith('.js'))) {
    assert.doesNotMatch(read(name), /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function/, name);
  }
  assert.doesNotMatch(read('index.html'), /\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)/);
});

test('whoever waits at the door goes on waiting while the server is away, and not when it has answered', () => {
  for (const [status, code] of [[0, 'UNREACHABLE'], [502, 'BAD_ANSWER'], [503, 'TRY_AGAIN'], [500, 'INTERNAL'], [429, 'RATE_LIMITED']]) {
    assert.ok(mayPass({ status, code }), code);
  }
  for (const [status, code] of [[401, 'SESSION_REVOKED'], [403, 'BANNED'], [404, 'ROOM_NOT_FOUND']]) {
    assert.ok(!mayPass({ status, code }), code);
  }
  assert.ok(!mayPass(new TypeError('a fault of ours')));
});

test('steps go on from where the last one leads, and are told a few times a second', () => {
  const told = [];
  const timers = [];
  let [time, at] = [0, 100];
  const steps = new Steps((to) => told.push(to), {
    now: () => time, setTimeout: (act) => timers.push(act), clearTimeout: () => { timers.length = 0; },
  });
  const pass = (ms) => {
    time += ms;
    for (const act of timers.splice(0)) act();
  };
  for (let n = 0; n < 4; n += 1) steps.go(5, at, 300);
  assert.deepEqual([told, timers.length], [[105], 1], 'the film is at 100 all the while');
  pass(200);
  assert.deepEqual(told, [105, 120]);
  pass(5_000);
  at = 126;
  steps.go(-5, at, 300);
  assert.deepEqual(told, [105, 120, 121]);
  pass(5_000);
  steps.go(-500, at, 300);
  pass(5_000);
  steps.go(500, at, 300);
  assert.deepEqual(told.slice(3), [0, 300], 'no further than the film goes');
  steps.go(5, at, 300);
  steps.stop();
  assert.equal(timers.length, 0);
});

test('a film that stopped loading is tried again: for ever where it was there, a few times where it never was', () => {
  const NETWORK = 2;
  const UNKNOWN = 4;
  assert.deepEqual([0, 1, 2, 9, 99].map((tries) => retryIn(NETWORK, tries)), [5_000, 10_000, 20_000, 30_000, 30_000]);
  assert.deepEqual([0, 3, 4, 99].map((tries) => retryIn(UNKNOWN, tries)), [5_000, 30_000, null, null]);
  assert.equal(retryIn(3, 0), null, 'what can’t be decoded can’t be decoded later');
});

test('only films of the web are loaded', () => {
  const player = { canPlayType: () => '' };
  const why = (address, here = 'https://example.org/r/AB12CD') => hindrance(player, address, here);
  for (const address of ['/sample.mp4', 'https://example.org/a.mp4']) assert.equal(why(address), null, address);
  assert.equal(why('http://example.org/a.mp4', 'http://localhost/'), null);
  for (const address of ['javascript:alert(1)', 'data:video/mp4;base64,AA', 'https://', 'blob:x', 'http://example.org/a.mp4']) {
    assert.ok(why(address), address);
  }
  assert.match(why('https://example.org/a.m3u8'), /HLS/);
});

test('a button that works keeps the focus, unless somebody has gone elsewhere meanwhile', async (t) => {
  const body = {};
  globalThis.document = { body, activeElement: null };
  t.after(() => { delete globalThis.document; });
  const button = {
    disabled: false,
    focus() { document.activeElement = button; },
  };
  const work = (then) => async () => {
    assert.ok(button.disabled);
    document.activeElement = body; // browsers take the focus from what is disabled
    await null;
    then?.();
  };
  button.focus();
  await busy(button, work());
  assert.deepEqual([button.disabled, document.activeElement === button], [false, true]);
  const field = {};
  await busy(button, work(() => { document.activeElement = field; }));
  assert.equal(document.activeElement, field);
  await busy(button, work());
  assert.equal(document.activeElement, body, 'it was not there before');
  button.focus();
  await assert.rejects(busy(button, work(() => { throw new Error('no'); })));
  assert.deepEqual([button.disabled, document.activeElement === button], [false, true]);
});
