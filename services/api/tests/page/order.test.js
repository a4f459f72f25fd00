/** Keeping order on the watch page: who is offered what, why one can't chat, and what is told of what was done. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { gone } from '../../src/page/gone.js';
import { sentence } from '../../src/page/record.js';
import { isHost, isInCharge, may } from '../../src/page/rules.js';
import { change, hindrance, invitation, span } from '../../src/page/voice.js';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const DOMAIN = '../../../shared/domain/src/';

const PEOPLE = { h: 'HOST', c: 'COHOST', d: 'COHOST', v: 'VIEWER', w: 'VIEWER' };
const DEEDS = ['kick', 'ban', 'unban', 'mute', 'unmute', 'erase', 'cohost', 'transfer'];

/** A room as one of its people sees it. */
function seen(by, more = {}) {
  const members = Object.entries(PEOPLE).map(([id, role]) => ({ id, role, name: id.toUpperCase() }));
  const you = members.find(({ id }) => id === by) ?? null;
  return { hostId: 'h', members, you, settings: {}, mayControl: PEOPLE[by] !== 'VIEWER', slowUntil: null, ...more };
}

/** What is offered to somebody about somebody. */
const offered = (by, about) => DEEDS.filter((deed) => may(deed, seen(by), about)).join(' ');

test('hosts may do everything, co-hosts keep order among viewers, viewers nothing but take back their own', () => {
  assert.equal(offered('h', 'v'), DEEDS.join(' '));
  assert.equal(offered('h', 'c'), DEEDS.join(' '));
  assert.equal(offered('c', 'v'), 'kick ban unban mute unmute erase');
  assert.equal(offered('c', 'd'), 'unban unmute');
  assert.equal(offered('c', 'h'), 'unban unmute');
  assert.equal(offered('v', 'w'), '');
  for (const by of ['c', 'v']) assert.equal(offered(by, by), 'erase', by);
  assert.equal(offered('h', 'h'), 'unmute erase', 'muted before becoming host');
  assert.equal(offered('h', 'gone'), DEEDS.join(' '), 'who is not here is a viewer');
});

test('everybody may report everybody else, and before one is in nothing may be done', () => {
  for (const by of Object.keys(PEOPLE)) {
    for (const about of Object.keys(PEOPLE)) assert.equal(may('report', seen(by), about), by !== about);
  }
  const outside = seen('nobody');
  for (const deed of ['report', ...DEEDS]) assert.ok(!may(deed, outside, 'v'), deed);
  assert.deepEqual([isInCharge(null), isInCharge(outside), isInCharge(seen('v'))], [false, false, false]);
  assert.deepEqual([isInCharge(seen('c')), isHost(seen('c')), isHost(seen('h'))], [true, false, true]);
});

test('a host who has handed over is offered what his new role allows', () => {
  const after = seen('h', { hostId: 'v' });
  after.you.role = 'VIEWER';
  assert.ok(!isInCharge(after) && !may('kick', after, 'w') && may('report', after, 'v'));
});

test('why one can’t write is told, what matters most first, and for how long', () => {
  const why = (by, settings, more = {}, quietUntil = 0) => hindrance(seen(by, { settings, ...more }), quietUntil, 1_000);
  assert.equal(why('v', {}), null);
  assert.match(why('h', { is_chat_enabled: false, is_chat_locked: true }).text, /switched the chat off/);
  assert.match(why('v', { is_chat_locked: true }, {}, 5_000).text, /Only the host/);
  assert.equal(why('c', { is_chat_locked: true }), null);
  assert.ok(why('v', { is_chat_locked: true }).placeholder, 'there is nothing to be typed');
  assert.deepEqual(why('v', {}, {}, 5_000), { text: 'That was a lot at once. Go on in', until: 5_000 });
  const slow = why('v', { slow_mode_seconds: 30 }, { slowUntil: 9_000 });
  assert.deepEqual(slow, { text: 'Slow mode, one message in 30 s. Go on in', until: 9_000 });
  assert.equal(why('v', { slow_mode_seconds: 30 }, { slowUntil: 900 }), null, 'that is over');
  assert.equal(invitation(seen('v', { settings: { slow_mode_seconds: 120 } })), 'Say something, once in 2 min');
  assert.equal(invitation(seen('h', { settings: { slow_mode_seconds: 120 } })), 'Say something');
});

test('spans are told in the unit that fits', () => {
  assert.deepEqual([5, 90, 120, 300, 3_600, 5_400, 86_400].map(span), ['5 s', '90 s', '2 min', '5 min', '1 h', '1.5 h', '24 h']);
});

test('a change of who may chat is told once, and nothing else is', () => {
  const calm = { is_chat_enabled: true, is_chat_locked: false, slow_mode_seconds: 0 };
  assert.equal(change({}, calm), null, 'what one hears first is no change');
  assert.equal(change(calm, { ...calm, readiness: 'strict' }), null);
  assert.match(change(calm, { ...calm, is_chat_enabled: false }), /switched the chat off/);
  assert.match(change(calm, { ...calm, is_chat_locked: true }), /Only the host/);
  assert.match(change({ ...calm, is_chat_locked: true }, calm), /Everybody/);
  assert.match(change(calm, { ...calm, slow_mode_seconds: 30 }), /one message in 30 s/);
  assert.match(change({ ...calm, slow_mode_seconds: 30 }, calm), /no longer/);
});

test('the door of a locked room says so, and may be knocked at again', () => {
  assert.equal(gone('ROOM_LOCKED').title, 'The room is locked');
  assert.ok(gone('ROOM_LOCKED').again);
});

/** An entry as the server tells it. */
const entry = (action, more = {}) => ({
  action, at: '2026-01-01T00:00:00Z', actor_kind: 'USER', actor: { id: 'a', name: 'Ana' }, target: { id: 'b', name: 'Bo' },
  before: null, after: null, reason: null, ...more,
});
/** Without what keeps names from turning the text around them. */
const plain = (...of) => sentence(entry(...of)).replaceAll(/[\u2068\u2069]/g, '');

test('all that a host may read of is a sentence', () => {
  const all = [...read(`${DOMAIN}audit.rs`).matchAll(/= "([a-z._]+)", Host;/g)].map(([, action]) => action);
  assert.ok(all.length > 20, `${all}`);
  for (const action of all) {
    assert.doesNotMatch(plain(action), /^Ana: |undefined|null|NaN/, action);
  }
  assert.equal(plain('room.new_thing'), 'Ana: room new thing', 'a later server');
});

test('what was done is told with what matters of it', () => {
  const at = Date.parse('2026-01-01T00:00:00Z');
  assert.equal(plain('moderation.muted', { after: { muted_until: at + 300_000 } }), 'Ana muted Bo for 5 min');
  assert.equal(plain('moderation.muted', { after: { muted_until: 253_402_300_799_000 } }), 'Ana muted Bo without end');
  assert.equal(plain('moderation.erased', { after: { seq: 7 } }), 'Ana took back a message of Bo');
  assert.equal(plain('moderation.erased', { after: { messages: 3 } }), 'Ana took back all messages of Bo');
  assert.equal(plain('moderation.erased', { target: { id: 'a', name: 'Ana' } }), 'Ana took back a message of their own');
  assert.equal(plain('room.settings', { after: { is_locked: true, slow_mode_seconds: 30, expiry_days: 3 } }),
    'Ana changed settings: room locked, slow mode 30 s, expiry days: 3');
  assert.equal(plain('room.playback', { after: { command: 'SEEK', time: 65 } }), 'Ana jumped to 1:05');
  assert.equal(plain('join.refused', { after: { code: 'ROOM_LOCKED' } }), 'Ana could not come in, the room being locked');
  assert.equal(plain('room.closed', { actor_kind: 'STAFF', reason: 'a complaint' }), 'Staff closed the room (a complaint)');
  assert.equal(plain('moderation.banned', { actor: null, target: { id: 'b', name: null } }), 'Somebody banned somebody');
});

test('the reasons that are offered are those that the server takes', () => {
  const form = /<select id="report-reason"[^]*?<\/select>/.exec(read('../../src/page/index.html'))[0];
  const offered = [...form.matchAll(/value="([A-Z]+)"/g)].map(([, reason]) => reason);
  const enumerated = /Reason, "[^"]*",([^]*?)\n}/.exec(read(`${DOMAIN}report.rs`))[1];
  assert.deepEqual(offered, [...enumerated.matchAll(/= "([A-Z]+)"/g)].map(([, reason]) => reason));
});
