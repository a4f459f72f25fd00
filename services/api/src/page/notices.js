/**
 * The one line above the film: of all that could be said, what matters most.
 *
 * @module notices
 */
import { $, countdown, names, show, write } from './dom.js';
import { now } from './store.js';

/**
 * @typedef {object} Notice
 * @property {string} text
 * @property {number} [until] when it ends, on the page's clock; counted down
 * @property {boolean} [isBad]
 * @property {string} [act] what the button beside it says
 */

/** What a connection ended for, where it is worth telling. */
const LOST = {
  1012: 'The server restarts. Coming back',
  1013: 'No place is free right now. Trying again',
  4104: 'That was too much at once. Coming back',
  4105: 'There are too many windows of yours. Trying again',
};

/**
 * What is to be said now.
 *
 * @param {import('./store.js').State} state
 * @returns {Notice|null}
 */
export function notice(state) {
  const { room, hostAwayUntil, news, filmError, isPicking } = state;
  if (!room) return null;
  if (room.status === 'connecting') return { text: state.wasOpen ? 'Reconnecting …' : 'Connecting …' };
  if (room.status === 'waiting') {
    return { text: LOST[room.closeCode] ?? 'The connection is lost. Trying again', until: room.retryAt, isBad: true };
  }
  if (filmError) {
    const isHost = room.you !== null && room.you.id === room.hostId;
    return { text: filmError, isBad: true, ...(isHost && !isPicking && { act: 'Pick another' }) };
  }
  if (news?.until > now()) return { text: news.text };
  if (!room.isHostOnline && hostAwayUntil !== null) {
    const who = room.host || 'The host';
    if (hostAwayUntil > now()) return { text: `${who} is away. The film goes on, the room waits`, until: hostAwayUntil };
    return { text: `${who} is away. The room waits.` };
  }
  return null;
}

/** What is said over the film of those whose players are loading. */
export function waitingFor(state) {
  const { room } = state;
  const readiness = room?.readiness;
  if (!readiness || readiness.count === 0 || room.status !== 'open') return null;
  const mine = room.you?.id;
  const others = readiness.waiting.filter((one) => one.user_id !== mine).map((one) => one.user);
  const isMe = others.length < readiness.waiting.length;
  const total = readiness.count - (isMe ? 1 : 0);
  const who = names(isMe ? ['you', ...others] : others, readiness.count);
  if (readiness.held) {
    return { text: `Waiting for ${who}`, until: now() + (readiness.hold_until - room.clock.now()) };
  }
  // One's own film is seen to be loading.
  if (total === 0) return null;
  return { text: `${names(others, total)} ${total === 1 ? 'is' : 'are'} loading` };
}

/** Draws both, and counts down while there is something to count. */
export function drawNotices(store) {
  const line = $('notice');
  const clock = $('notice-clock');
  const over = $('waiting-for');
  const count = document.createElement('span');
  const what = document.createElement('span');
  count.setAttribute('aria-hidden', 'true');
  over.append(what, count);
  let timer;

  const left = (until) => (Number.isFinite(until) && until > now() ? ` · ${countdown(until - now())}` : '');
  const draw = () => {
    clearTimeout(timer);
    const state = store.state;
    const said = notice(state);
    const waiting = waitingFor(state);
    show($('notice-box'), said !== null);
    $('notice-box').classList.toggle('bad', said?.isBad === true);
    write(line, said?.text ?? '');
    show($('notice-act'), said?.act !== undefined);
    write($('notice-act'), said?.act ?? '');
    write(clock, left(said?.until));
    show(over, waiting !== null);
    write(what, waiting?.text ?? '');
    write(count, left(waiting?.until));
    if (said?.until || waiting?.until || state.news) timer = setTimeout(draw, 250);
    if (state.news && state.news.until <= now()) store.set({ news: null });
  };
  $('notice-act').addEventListener('click', () => $('picker-open').click());
  return store.watch(draw);
}
