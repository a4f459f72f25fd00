/**
 * Who may do what about whom, so that nobody is offered what the server would refuse. The server decides: it also knows
 * who opened the room, and to whom it goes back.
 *
 * @module rules
 */

/** @typedef {import('/streamit.js').Room} Room */

const RANK = { HOST: 2, COHOST: 1, VIEWER: 0 };
/** What co-hosts may do as well: they keep order. Who comes in, and who has a say, is the host's. */
const OF_COHOSTS = new Set(['kick', 'ban', 'unban', 'mute', 'unmute', 'erase']);
/** What takes something from somebody. */
const AGAINST = new Set(['kick', 'ban', 'mute', 'erase']);

const rankOf = ({ hostId }, id, role) => {
  if (id === hostId) return RANK.HOST;
  return role === 'COHOST' ? RANK.COHOST : RANK.VIEWER;
};
const ownRank = (room) => (room.you ? rankOf(room, room.you.id, room.you.role) : RANK.VIEWER);
/** What somebody is; who is not here is a viewer, as far as one knows. */
const roleOf = (room, id) => room.members.find((member) => member.id === id)?.role;

/** Whether this tab is the host's. @param {Room|null} room */
export const isHost = (room) => room !== null && ownRank(room) === RANK.HOST;
/** Whether it is the host's or a co-host's. @param {Room|null} room */
export const isInCharge = (room) => room !== null && ownRank(room) >= RANK.COHOST;

/**
 * Whether one may do something about somebody, present or not.
 *
 * @param {'report'|'kick'|'ban'|'unban'|'mute'|'unmute'|'erase'|'cohost'|'transfer'} deed
 * @param {Room} room
 * @param {string} id of whom
 * @param {string} [role] theirs, if it is at hand
 */
export function may(deed, room, id, role = roleOf(room, id)) {
  if (!room.you) return false;
  const isMe = id === room.you.id;
  if (deed === 'report') return !isMe;
  // What one said oneself is one's own.
  if (isMe && deed === 'erase') return true;
  const [mine, theirs] = [ownRank(room), rankOf(room, id, role)];
  if (mine < (OF_COHOSTS.has(deed) ? RANK.COHOST : RANK.HOST)) return false;
  // A host may have been muted before becoming host.
  if (isMe) return deed === 'unmute' && mine === RANK.HOST;
  return !AGAINST.has(deed) || theirs < mine;
}
