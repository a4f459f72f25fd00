/**
 * Whether one may say something in the chat now, and if not, why and for how long.
 *
 * @module voice
 */

/**
 * @typedef {object} Hindrance
 * @property {string} text
 * @property {number} [until] when it is over, on the page's clock; counted down
 * @property {string} [placeholder] there is nothing to be typed meanwhile: what the field says instead
 */

/** A span of seconds in words: 30 s, 5 min, 1 h. */
export function span(seconds) {
  if (seconds < 60 || (seconds < 600 && seconds % 60 !== 0)) return `${seconds} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 360) / 10} h`;
}

/**
 * What is in the way of saying something; null when nothing is.
 *
 * @param {import('/streamit.js').Room} room
 * @param {number} quietUntil until when one has said too much at once
 * @param {number} at the page's clock
 * @returns {Hindrance|null}
 */
export function hindrance(room, quietUntil, at) {
  const { is_chat_enabled: isOn, is_chat_locked: isLocked, slow_mode_seconds: slow } = room.settings;
  if (isOn === false) return { text: 'The host has switched the chat off.', placeholder: 'The chat is off' };
  if (isLocked && !room.mayControl) {
    return { text: 'Only the host and co-hosts may chat now.', placeholder: 'You can read along' };
  }
  if (at < quietUntil) return { text: 'That was a lot at once. Go on in', until: quietUntil };
  if (room.slowUntil > at) {
    return { text: `Slow mode, one message in ${span(slow)}. Go on in`, until: room.slowUntil };
  }
  return null;
}

/** What the empty field says where one may write. @param {import('/streamit.js').Room} room */
export function invitation({ settings, mayControl }) {
  const slow = settings.slow_mode_seconds;
  return slow > 0 && !mayControl ? `Say something, once in ${span(slow)}` : 'Say something';
}

/**
 * What is told when the host has changed who may chat, and how; null when that did not change.
 *
 * @param {Record<string, any>} before the settings that were known
 * @param {Record<string, any>} after
 * @returns {string|null}
 */
export function change(before, after) {
  const isOther = (name) => before[name] !== undefined && after[name] !== undefined && before[name] !== after[name];
  if (isOther('is_chat_enabled')) return after.is_chat_enabled ? 'The chat is on again.' : 'The host has switched the chat off.';
  if (isOther('is_chat_locked')) {
    return after.is_chat_locked ? 'Only the host and co-hosts may chat now.' : 'Everybody may chat again.';
  }
  if (!isOther('slow_mode_seconds')) return null;
  const slow = after.slow_mode_seconds;
  return slow > 0 ? `The chat is in slow mode: one message in ${span(slow)}.` : 'The chat is no longer in slow mode.';
}
