/**
 * The ways in: with a name, with an account; opening a room, joining one by its code, finding one in the list.
 *
 * @module view-enter
 */
import { $, attempt, make, refusal, show, write } from './dom.js';
import { keepName, lastName } from './whoami.js';

/** The list of public rooms is looked at again this often while it is seen. */
const LIST_MS = 15_000;
const PAGE = 20;

/** What people type or paste as a code: with spaces, in lower case, or the whole link. */
export function codeIn(text) {
  const link = /\/r\/([A-Za-z0-9]{6})(?:[/?#]|$)/.exec(text);
  return (link?.[1] ?? text.replace(/[\s-]/g, '')).toUpperCase();
}

/** Whether it can be the code of a room. */
export const isCode = (text) => /^[A-Z0-9]{6}$/.test(text);

/**
 * Wires up who one is.
 *
 * @param {import('/streamit.js').StreamIt} api
 * @param {() => Promise<void>} then what follows once somebody is known
 */
export function wireWelcome(api, then) {
  $('name').value = lastName();
  $('guest-form').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt($('enter-guest'), $('guest-error'), async () => {
      const name = $('name').value.trim();
      await api.guest(name);
      keepName(name);
      await then();
    });
  });

  const [more, newcomer] = [$('register-name-row'), $('enter-register')];
  const setNew = (isNew) => {
    show(more, isNew);
    $('register-name').required = isNew;
    $('password').autocomplete = isNew ? 'new-password' : 'current-password';
    write($('enter-login'), isNew ? 'Open an account' : 'Log in');
    write(newcomer, isNew ? 'I have one already' : 'I am new here');
    newcomer.setAttribute('aria-expanded', String(isNew));
  };
  $('account-form').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt($('enter-login'), $('account-error'), async () => {
      const [email, password] = [$('email').value.trim(), $('password').value];
      if (more.hidden) await api.login(email, password);
      else await api.register(email, password, $('register-name').value.trim());
      // Whoever logs out and comes again has an account by then.
      $('account-form').reset();
      setNew(false);
      await then();
    });
  });
  newcomer.addEventListener('click', () => {
    const isNew = more.hidden;
    setNew(isNew);
    write($('account-error'), '');
    if (isNew) $('register-name').focus();
  });
}

/**
 * Wires up the lobby.
 *
 * @param {import('/streamit.js').StreamIt} api
 * @param {{opened: (room: object) => Promise<void>, join: (code: string, password?: string) => Promise<void>}} then
 */
export function wireLobby(api, then) {
  $('create-form').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt($('create-room'), $('create-error'), async () => {
      const entry = $('entry').value;
      await then.opened(await api.createRoom({ isPrivate: entry !== 'PUBLIC', entryMode: entry === 'PUBLIC' ? undefined : entry }));
    });
  });
  $('join-form').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt($('join-room'), $('join-error'), async () => {
      const code = codeIn($('code').value);
      $('code').value = code;
      if (!isCode(code)) return write($('join-error'), 'A code is made of six letters and digits.');
      await then.join(code, $('room-password').value.trim() || undefined);
      $('room-password').value = '';
    });
  });

  // --- the list

  const [list, empty, more] = ['public-rooms', 'public-empty', 'public-more'].map($);
  let shown = PAGE;
  let timer;

  function row({ code, host, viewers, title }) {
    const about = make('span', { class: 'what' }, make('bdi', {}, title ?? 'No film picked yet'), make('small', {}, `with ${host}`));
    const count = make('span', { class: 'viewers' }, viewers === 1 ? '1 is here' : `${viewers} are here`);
    const button = make('button', { type: 'button' }, make('span', { class: 'code' }, code), about, count);
    button.addEventListener('click', () => attempt(button, $('join-error'), () => then.join(code)));
    return make('li', {}, button);
  }

  async function look() {
    clearTimeout(timer);
    if (document.body.dataset.view !== 'lobby' || document.body.dataset.door) return;
    try {
      const rooms = await api.call('GET', `/api/rooms/public/?limit=${Math.min(shown + 1, 100)}`);
      const hadFocus = list.contains(document.activeElement) ? document.activeElement.firstChild?.textContent : null;
      list.replaceChildren(...rooms.slice(0, shown).map(row));
      if (hadFocus) [...list.querySelectorAll('button')].find((b) => b.firstChild.textContent === hadFocus)?.focus();
      show(empty, rooms.length === 0);
      write(empty, 'No room is open to everybody right now. Open one, and it is listed here.');
      show(more, rooms.length > shown && shown < 100);
    } catch (error) {
      show(empty, true);
      write(empty, refusal(error));
    }
    timer = setTimeout(() => (document.hidden ? undefined : look()), LIST_MS);
  }
  document.addEventListener('visibilitychange', () => document.hidden || look());
  $('public-refresh').addEventListener('click', look);
  more.addEventListener('click', () => {
    shown = Math.min(shown + PAGE, 100);
    look();
  });
  return { look };
}
