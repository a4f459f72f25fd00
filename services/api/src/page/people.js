/**
 * Who is in the room, who asks to come in, and what is done about people.
 *
 * @module people
 */
import { $, busy, make, refusal, show, toast, write } from './dom.js';
import { fillPerson, hasMore, personRow } from './person.js';
import { Question, isAtWork } from './question.js';
import { openReport } from './report.js';
import { isInCharge } from './rules.js';
import { now } from './store.js';

/**
 * Draws people and requests of the room in `store` until the function that it returns is called.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 */
export function showPeople(store, api) {
  const list = $('people');
  const asking = $('requests');
  /** The rows by person, so that a change moves no focus and closes no menu. */
  const rows = new Map();
  const requests = new Map();
  const question = new Question();
  let opened = null;
  /** Whether it was asked already who is muted. */
  let isInformed = false;
  // Where the chat is below, what was said is nearer at hand.
  $('people-box').open = matchMedia('(min-width: 60rem)').matches;

  /** A request that has been answered, or taken back, is not shown any more. */
  function forget(what, id) {
    if (what !== 'approve' && what !== 'reject') return;
    store.set({ requests: store.state.requests.filter((one) => one.id !== id) });
  }

  /** Does something about somebody. What follows from it comes back from the room. */
  async function act(what, id, button, more = {}) {
    try {
      const answer = await busy(button, () => api.on(store.state.code, what, { user_id: id, ...more }));
      if (what === 'mute') store.state.muted.set(id, more.seconds ? now() + more.seconds * 1000 : Infinity);
      if (what === 'unmute') store.state.muted.delete(id);
      if (what === 'erase') toast(answer.erased === 0 ? 'There was nothing to take back.' : 'All of it is taken back.');
      forget(what, id);
      store.set();
      return true;
    } catch (error) {
      // Whoever asked has gone meanwhile.
      if (error.code === 'CONFLICT') forget(what, id);
      toast(refusal(error));
      return false;
    }
  }

  /** Asks who is muted: somebody else may have done that, or it may be over. */
  async function learnMuted() {
    const { code, muted } = store.state;
    try {
      for (const { id, muted: isMuted } of await api.participants(code)) {
        if (!isMuted) muted.delete(id);
        else if (!(muted.get(id) > now())) muted.set(id, Infinity);
      }
      if (store.state.code === code) store.set();
    } catch {
      // Then the button says the wrong thing; the next time it is asked again.
    }
  }

  function toggle(id) {
    opened = opened === id ? null : id;
    if (opened !== null && isInCharge(store.state.room)) learnMuted();
    store.set();
  }

  function row(id) {
    const parts = personRow(id, {
      act: (what, button, more) => act(what, id, button, more),
      ask: (button, words, run) => question.ask(id, button, words, run),
      toggle: () => toggle(id),
      report: () => openReport({ user_id: id, name: parts.member.name }),
    });
    parts.item.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || opened !== id) return;
      if (question.has(event.target)) return question.end();
      opened = null;
      parts.more.focus();
      store.set();
    });
    return parts;
  }

  function fill(parts, member, room, loading) {
    const { id } = member;
    const isOpen = opened === id && hasMore(room, member);
    if (!isOpen && question.isAbout(id)) question.end();
    const hadFocus = !isOpen && parts.actions.contains(document.activeElement);
    fillPerson(parts, member, room, {
      isOpen, isMuted: store.state.muted.get(id) > now(), isLoading: loading.has(id),
    });
    if (hadFocus) $('room-title').focus();
  }

  function request({ id, name }) {
    const approve = make('button', { type: 'button', class: 'approve primary' }, 'Let in');
    const reject = make('button', { type: 'button', class: 'reject' }, 'No');
    approve.setAttribute('aria-label', `Let in ${name}`);
    reject.setAttribute('aria-label', `No, not ${name}`);
    approve.addEventListener('click', () => act('approve', id, approve));
    reject.addEventListener('click', () => act('reject', id, reject));
    return make('li', { 'data-user-id': id }, make('span', {}, name), approve, reject);
  }

  /** Brings a list to what it should hold, in order, without touching what is right already. */
  function arrange(parent, known, wanted, build, item) {
    const ids = new Set(wanted.map((one) => one.id));
    let isLost = false;
    for (const [id, parts] of known) {
      if (ids.has(id)) continue;
      const old = item(parts);
      // A button that works has lost the focus already.
      isLost ||= isAtWork(old) || old.contains(document.activeElement);
      if (known === rows && question.isAbout(id)) question.forget();
      old.remove();
      known.delete(id);
    }
    wanted.forEach((one, index) => {
      if (!known.has(one.id)) known.set(one.id, build(one));
      const element = item(known.get(one.id));
      if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null);
    });
    // Whoever held a button of a row that has gone goes on with the next one, or where the room begins.
    if (!isLost) return;
    const next = [...parent.querySelectorAll('button')].find((button) => button.offsetParent !== null);
    (next ?? $('room-title')).focus();
  }

  // What is left of another room.
  list.replaceChildren();
  asking.replaceChildren();
  return store.watch((state) => {
    const { room } = state;
    if (!room) return;
    if (isInCharge(room) && !isInformed) learnMuted();
    isInformed = isInCharge(room);
    const loading = new Set(room.readiness?.waiting.map((one) => one.user_id));
    const rank = (member) => ['HOST', 'COHOST'].indexOf(member.role) >>> 0;
    const members = [...room.members].sort((a, b) => rank(a) - rank(b));
    arrange(list, rows, members, (member) => row(member.id), (parts) => parts.item);
    for (const member of members) fill(rows.get(member.id), member, room, loading);
    write($('online'), String(room.online || ''));
    const mayDecide = room.you?.id === room.hostId;
    const wanted = mayDecide ? state.requests : [];
    arrange(asking, requests, wanted, request, (element) => element);
    show($('requests-box'), wanted.length > 0);
  });
}
