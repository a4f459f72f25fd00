/**
 * Who is in the room, who asks to come in, and what the host can do about people.
 *
 * @module people
 */
import { $, busy, icon, make, refusal, show, toast, write } from './dom.js';

const ROLES = { HOST: ['Host', 'badge host'], COHOST: ['Co-host', 'badge'] };

/** One of eight colours, the same for a person wherever they are named. */
export function hue(id) {
  let sum = 0;
  for (const char of String(id)) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return `hue-${sum % 8}`;
}

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
  let opened = null;
  /** The question that stands, of whom it is asked, and how it ends; one at most. */
  let asked = null;
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
      const { code } = store.state;
      await busy(button, () => api.call('POST', `/api/rooms/${what}/`, { code, user_id: id, ...more }));
      if (what === 'mute' || what === 'unmute') store.state.muted.set(id, what === 'mute');
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

  /** Asks before something is done that is not undone as easily. What is focused first is the way back. */
  function ask(id, button, question, run) {
    asked?.end();
    const yes = make('button', { type: 'button', class: 'yes' }, 'Yes');
    const no = make('button', { type: 'button', class: 'no' }, 'No');
    const words = make('span', { class: 'question' }, question);
    const box = make('div', { class: 'ask', role: 'group', 'aria-label': question }, words, yes, no);
    const end = () => {
      if (asked?.box !== box) return;
      asked = null;
      const hadFocus = box.contains(document.activeElement) || isAtWork(box);
      box.replaceWith(button);
      if (hadFocus) button.focus();
      if (hadFocus && document.activeElement !== button) $('room-title').focus();
    };
    asked = { id, box, end };
    no.addEventListener('click', end);
    yes.addEventListener('click', async () => {
      await run(yes);
      end();
    });
    button.replaceWith(box);
    no.focus();
  }

  /** Whether the focus was lost to a button in here that works. */
  function isAtWork(element) {
    return document.activeElement === document.body && element.querySelector('button:disabled') !== null;
  }

  function row(id) {
    const parts = {
      face: make('span', { class: `face ${hue(id)}`, 'aria-hidden': 'true' }),
      name: make('b'),
      you: make('span', { class: 'you' }, '(you)'),
      role: make('span', { class: 'badge' }),
      slow: make('span', { class: 'badge slow' }, 'loading'),
      silent: make('span', { class: 'badge' }, 'muted'),
      kick: make('button', { type: 'button', class: 'icon kick' }, icon('cross')),
      more: make('button', { type: 'button', class: 'icon more', 'aria-expanded': 'false' }, icon('more')),
      actions: make('div', { class: 'actions', hidden: true }),
    };
    const action = (label, run, className = 'quiet') => {
      const button = make('button', { type: 'button', class: className }, label);
      button.addEventListener('click', () => run(button));
      parts.actions.append(button);
      return button;
    };
    parts.cohost = action('', (button) => act('cohost', id, button, { on: parts.member.role !== 'COHOST' }));
    parts.mute = action('', (button) => act(store.state.muted.get(id) ? 'unmute' : 'mute', id, button));
    parts.transfer = action('Make host', (button) => ask(id, button, `Make ${parts.member.name} host in your place?`,
      (yes) => act('transfer', id, yes)), 'quiet transfer');
    parts.ban = action('Ban', (button) => ask(id, button, `Ban ${parts.member.name}?`, (yes) => act('ban', id, yes)), 'quiet bad ban');
    parts.kick.addEventListener('click', () => act('kick', id, parts.kick));
    parts.more.addEventListener('click', () => {
      opened = opened === id ? null : id;
      store.set();
    });
    parts.item = make('li', { 'data-user-id': id }, parts.face,
      make('span', { class: 'who' }, parts.name, parts.you, parts.role, parts.silent, parts.slow),
      parts.more, parts.kick, parts.actions);
    parts.item.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || opened !== id) return;
      if (asked?.box.contains(event.target)) return asked.end();
      opened = null;
      parts.more.focus();
      store.set();
    });
    return parts;
  }

  function fill(parts, member, room, loading) {
    const { id, name, role } = member;
    parts.member = member;
    const isMe = id === room.you?.id;
    const mayManage = room.you?.id === room.hostId && !isMe && role !== 'HOST';
    write(parts.face, [...name][0]?.toUpperCase() ?? '');
    write(parts.name, name);
    show(parts.you, isMe);
    const [label, badge] = ROLES[role] ?? ['', 'badge'];
    write(parts.role, label);
    parts.role.className = badge;
    show(parts.role, label !== '');
    show(parts.slow, loading.has(id));
    const isMuted = store.state.muted.get(id) === true;
    show(parts.silent, isMuted && room.you?.id === room.hostId);
    show(parts.kick, mayManage);
    show(parts.more, mayManage);
    parts.kick.setAttribute('aria-label', `Remove ${name}`);
    parts.kick.title = `Remove ${name} for ten minutes`;
    parts.more.setAttribute('aria-label', `More about ${name}`);
    parts.more.title = 'More';
    parts.more.setAttribute('aria-expanded', String(mayManage && opened === id));
    const isOpen = mayManage && opened === id;
    if (!isOpen && asked?.id === id) asked.end();
    const hadFocus = !isOpen && parts.actions.contains(document.activeElement);
    show(parts.actions, isOpen);
    if (hadFocus) $('room-title').focus();
    write(parts.cohost, role === 'COHOST' ? 'No longer co-host' : 'Make co-host');
    write(parts.mute, isMuted ? 'Let them chat' : 'Mute in chat');
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
      if (old.contains(asked?.box ?? null)) asked = null;
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
