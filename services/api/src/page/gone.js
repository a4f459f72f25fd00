/**
 * Why there is no room any more, or none yet, and what can be done about it.
 *
 * @module gone
 */

/**
 * @typedef {object} Gone
 * @property {string} title
 * @property {string} text
 * @property {string} [again] what the button says that tries once more; none when that is of no use
 */

/** By code of the server. */
const WHY = {
  ROOM_NOT_FOUND: {
    title: 'No such room',
    text: 'No room has this code. Perhaps a letter is missing, or the room was never there.',
  },
  ROOM_CLOSED: { title: 'This room is closed', text: 'Whoever opened it has closed it for everybody.' },
  ROOM_EXPIRED: { title: 'This room has expired', text: 'Nobody came for so long that it was put away.' },
  KICKED: {
    title: 'You were removed',
    text: 'The host took you out of the room. In ten minutes you may come again.',
    again: 'Try again',
  },
  BANNED: { title: 'You are banned from this room', text: 'The host does not let you in any more.' },
  REJECTED: {
    title: 'Not this time',
    text: 'The host did not let you in. You may ask once more.',
    again: 'Ask again',
  },
  NOT_APPROVED: {
    title: 'You are not in this room any more',
    text: 'You left it, or the host took you out.',
    again: 'Come in again',
  },
  ROOM_LOCKED: {
    title: 'The room is locked',
    text: 'Nobody new may come in for now. Perhaps the host opens it again.',
    again: 'Try again',
  },
  ROOM_FULL: { title: 'The room is full', text: 'Every seat is taken. Try again in a moment.', again: 'Try again' },
  TRY_AGAIN: {
    title: 'The room can’t be reached right now',
    text: 'The server asks for a moment of patience.',
    again: 'Try again',
  },
  RATE_LIMITED: { title: 'A little slower, please', text: 'That was tried too often. Wait a minute.', again: 'Try again' },
};

/** What the page shows for a code. @returns {Gone} */
export function gone(code, text) {
  return WHY[code] ?? {
    title: 'That did not work',
    text: text ?? 'The room can’t be reached.',
    again: 'Try again',
  };
}

/** Whether an error of the api may pass by itself: it is no answer about the room. */
export const mayPass = ({ status }) => status === 0 || status === 429 || status >= 500;

/** What the codes with which the server closes a connection for good say, when there is no word with them. */
const BY_CLOSE = {
  4001: 'UNAUTHENTICATED', 4002: 'ROOM_NOT_FOUND', 4003: 'NOT_APPROVED', 4004: 'ROOM_EXPIRED', 4005: 'ROOM_CLOSED',
  4010: 'BANNED', 4011: 'KICKED',
};

/** The code of the server for the end of a connection. */
export const codeOfClose = (close, reason) =>
  (/^[A-Z_]+$/.test(reason ?? '') ? reason : BY_CLOSE[close] ?? 'INTERNAL');
