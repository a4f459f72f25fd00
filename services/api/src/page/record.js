/**
 * What was done in a room, each thing as a sentence.
 *
 * @module record
 */
import { clockTime } from './dom.js';
import { span } from './voice.js';

/** Names run as their own first letter does, and turn nothing around them. */
const apart = (name) => `\u2068${name}\u2069`;

const SETTINGS = {
  is_chat_enabled: (is) => (is ? 'chat on' : 'chat off'),
  is_chat_locked: (is) => (is ? 'chat for host and co-hosts only' : 'chat for everybody'),
  is_locked: (is) => (is ? 'room locked' : 'room open again'),
  slow_mode_seconds: (seconds) => (seconds > 0 ? `slow mode ${span(seconds)}` : 'slow mode off'),
  host_grace_seconds: (seconds) => `host away after ${span(seconds)}`,
};
const settings = (after) => Object.entries(after ?? {})
  .map(([name, value]) => SETTINGS[name]?.(value) ?? `${name.replaceAll('_', ' ')}: ${value}`).join(', ');

const COMMANDS = { PLAY: 'pressed play at', PAUSE: 'paused at', SEEK: 'jumped to' };
const REFUSED = {
  BANNED: ', being banned', KICKED: ', having been removed', ROOM_LOCKED: ', the room being locked',
  INVALID_ROOM_PASSWORD: ', with a wrong password',
};

/** For how long somebody was muted: until the year 9999 is without end. */
function muted(until, at) {
  const seconds = Math.round((until - Date.parse(at)) / 1000);
  return seconds > 0 && seconds < 2 * 366 * 86_400 ? `for ${span(seconds)}` : 'without end';
}

/** By action of the server: what is said, of whom it was and whom it is about. */
const SENTENCES = {
  'room.created': ({ who }) => `${who} opened the room`,
  'room.closed': ({ who }) => `${who} closed the room`,
  'room.expired': () => 'The room expired',
  'room.settings': ({ who, after }) => `${who} changed settings: ${settings(after)}`,
  'room.words': ({ who }) => `${who} changed the words that must not be said`,
  'room.source': ({ who, after }) => `${who} picked ${after?.title ? apart(after.title) : 'another film'}`,
  'room.playback': ({ who, after }) => `${who} ${COMMANDS[after?.command] ?? 'used the remote at'} ${clockTime(after?.time)}`,
  'join.approved': ({ who }) => `${who} came in`,
  'join.asked': ({ who }) => `${who} asked to come in`,
  'join.refused': ({ who, after }) => `${who} could not come in${REFUSED[after?.code] ?? ''}`,
  'join.let_in': ({ who, whom }) => `${who} let ${whom} in`,
  'join.rejected': ({ who, whom }) => `${who} did not let ${whom} in`,
  'join.left': ({ who }) => `${who} left`,
  'host.transferred': ({ who, whom }) => `${who} made ${whom} host`,
  'host.succeeded': ({ whom }) => `${whom} became host, since the host stayed away`,
  'host.returned': ({ whom }) => `${whom} is host again`,
  'host.cohost_made': ({ who, whom }) => `${who} made ${whom} co-host`,
  'host.cohost_unmade': ({ who, whom }) => `${who} made ${whom} a viewer again`,
  'moderation.kicked': ({ who, whom }) => `${who} removed ${whom} for ten minutes`,
  'moderation.banned': ({ who, whom }) => `${who} banned ${whom}`,
  'moderation.unbanned': ({ who, whom }) => `${who} lifted the ban of ${whom}`,
  'moderation.muted': ({ who, whom, after, at }) => `${who} muted ${whom} ${muted(after?.muted_until, at)}`,
  'moderation.unmuted': ({ who, whom }) => `${who} let ${whom} chat again`,
  'moderation.erased': ({ who, whom, isSelf, after }) => {
    const what = after?.messages === undefined ? 'a message' : 'all messages';
    return isSelf ? `${who} took back ${what} of their own` : `${who} took back ${what} of ${whom}`;
  },
};

/**
 * One entry of the audit log in words.
 *
 * @param {import('/streamit.js').AuditEntry} entry
 */
export function sentence(entry) {
  const { actor, target, actor_kind: kind, after, at } = entry;
  const who = kind === 'STAFF' ? 'Staff' : actor?.name ? apart(actor.name) : 'Somebody';
  const whom = target?.name ? apart(target.name) : 'somebody';
  const said = SENTENCES[entry.action]?.({
    who, whom, after, at, isSelf: kind !== 'STAFF' && actor !== null && actor?.id === target?.id,
  });
  const told = said ?? `${who}: ${entry.action.replaceAll(/[._]/g, ' ')}`;
  return entry.reason ? `${told} (${apart(entry.reason)})` : told;
}
