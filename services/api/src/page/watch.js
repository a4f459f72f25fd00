/**
 * The watch page: where it starts, and the way from one view to the next. The address says which room is meant:
 * `/` is the lobby, `/r/<code>` a room.
 *
 * @module watch
 */
import { StreamIt } from '/streamit.js';
import { $, show, write } from './dom.js';
import { gone, mayPass } from './gone.js';
import { drawNotices } from './notices.js';
import { wireReport } from './report.js';
import { wireSettings } from './settings.js';
import { wireDialogs, wireShare } from './share.js';
import { Store } from './store.js';
import { codeIn, wireLobby, wireWelcome } from './view-enter.js';
import { enterRoom } from './view-room.js';
import { keepPassword, setApart, storage } from './whoami.js';

/** Whether the host has decided is asked this often at first, and at last. */
const ASK_MS = [1_500, 6_000];

const ENDED = 'Your session has ended. Come in again.';
/** With this behind the address a new tab is somebody of its own. */
const APART = '#somebody-else';

if (location.hash === APART) {
  setApart();
  history.replaceState(null, '', location.pathname);
}

let isLoggingOut = false;
const ws = document.querySelector('meta[name=streamit-ws]').content;
const store = new Store({
  view: 'idle', code: null, session: null, room: null, drift: null, gone: null, requests: [], muted: new Map(),
  hostAwayUntil: null, news: null, filmError: null, isPicking: false, wasOpen: false, entryMode: null,
});
const api = new StreamIt({
  storage,
  ...(ws && { wsBase: ws }),
  onsession: (session) => {
    store.set({ session });
    // One's own logging out has a view of its own.
    if (!session && !['idle', 'welcome'].includes(store.state.view) && !isLoggingOut) welcome(ENDED);
  },
});

/** How to leave the room one is in. */
let leave = () => {};
/** What is under way for an address that has been left since must not go on. */
let visit = 0;
/** The visitor wants to ask once more to be let in. */
let asksAgain = false;
/** A room that was opened just now, with what is known of it. */
let fresh = null;

// --- the views

function view(name, changes = {}) {
  store.set({ view: name, ...changes });
}

/** Asks who one is. The address stays: whoever came by a link goes on to the room. */
function welcome(message = '') {
  visit += 1;
  leave();
  const code = store.state.code;
  show($('invited'), code !== null);
  write($('invited'), code ? `You are invited to room ${code}` : '');
  write($('enter-guest'), code ? 'Come in and watch' : 'Come in');
  write($('guest-error'), message);
  view('welcome');
}

function lobby(door = null) {
  leave();
  document.body.toggleAttribute('data-door', door !== null);
  if (door) document.body.dataset.door = door;
  $('code').value = store.state.code ?? '';
  $('code').readOnly = door !== null;
  $('room-password').value = '';
  $('room-password').required = door !== null;
  write($('join-title'), door ? `Room ${store.state.code}` : 'Join a room');
  write($('join-lead'), door ? 'It asks for a password. Whoever invited you has it.' : 'Somebody gave you a code of six characters.');
  show($('join-back'), door !== null);
  for (const id of ['create-error', 'join-error']) write($(id), '');
  view('lobby');
}

function end(code, text) {
  leave();
  view('gone', { gone: gone(code, text) });
}

// --- the way into a room

/** Brings the visitor to where the address points. */
async function follow() {
  visit += 1;
  const mine = visit;
  leave();
  const named = /^\/r\/([^/]+)\/?$/.exec(location.pathname)?.[1];
  store.set({ code: named ? codeIn(named) : null, gone: null });
  if (named && named !== store.state.code) history.replaceState(null, '', `/r/${store.state.code}`);
  if (!api.session) return welcome();
  if (!named) return lobby();
  await tried(mine, () => enter(store.state.code, mine));
}

/** Does what can be refused on the way; unless the visitor went elsewhere meanwhile, a refusal has a view of its own. */
async function tried(mine, work) {
  try {
    await work();
  } catch (error) {
    if (mine !== visit) return;
    if (isOver(error.code)) welcome(ENDED);
    else if (error.code) end(error.code, error.message);
    else end('TRY_AGAIN');
  }
}

/** From the door of a room into it, or to what stands in between. */
async function enter(code, mine) {
  const isNew = fresh?.code === code;
  const door = isNew ? fresh : await api.call('GET', `/api/rooms/${code}/door/`);
  fresh = null;
  if (mine !== visit) return;
  store.set({ entryMode: door.entry_mode });
  const isIn = isNew || door.status === 'APPROVED' || door.is_host;
  if (['KICKED', 'BANNED'].includes(door.status)) return end(door.status);
  // Whoever was turned away asks again only if he says so.
  if (door.status === 'REJECTED' && !asksAgain) return end('REJECTED');
  asksAgain = false;
  if (door.entry_mode === 'PASSWORD' && !isIn) return lobby('password');
  if (!isIn) {
    const { status } = await api.joinRoom(code);
    if (mine !== visit) return;
    if (status === 'PENDING') return wait(code, mine);
  }
  open(code, isNew);
}

/** Waits before the door until the host has decided. */
async function wait(code, mine) {
  write($('waiting-title'), 'At the door');
  write($('waiting-text'), `The host of room ${code} has been told that you are here. You come in as soon as you are let in.`);
  view('waiting');
  for (let pause = ASK_MS[0]; ; pause = Math.min(pause * 1.3, ASK_MS[1])) {
    await new Promise((done) => setTimeout(done, pause));
    if (mine !== visit) return;
    let door;
    try {
      door = await api.call('GET', `/api/rooms/${code}/door/`);
    } catch (error) {
      // A server that is away for a moment is no answer of the host.
      if (!mayPass(error)) throw error;
      continue;
    }
    if (mine !== visit) return;
    if (door.status === 'APPROVED') return open(code);
    if (door.status !== 'PENDING') return end(door.status ?? 'NOT_APPROVED');
  }
}

function open(code, isNew = false) {
  leave();
  const stop = enterRoom(store, api, code, {
    isNew,
    onend: (why) => {
      if (isOver(why)) logout(ENDED);
      else end(why);
    },
  });
  leave = () => {
    leave = () => {};
    stop();
  };
}

/** Whether a refusal says that one is not known any more. */
const isOver = (code) => code === 'UNAUTHENTICATED' || code === 'SESSION_REVOKED';

/** Ends the session, here and on the server, whether that knows it or not. */
async function logout(message = '') {
  leave();
  isLoggingOut = true;
  await api.logout().catch(() => {});
  isLoggingOut = false;
  welcome(message);
}

/** Changes the address, and goes there. */
function go(path) {
  if (location.pathname !== path) history.pushState(null, '', path);
  return follow();
}

// --- what is pressed

wireWelcome(api, follow);
const { look } = wireLobby(api, {
  opened: async (room) => {
    if (room.room_password) keepPassword(room.code, room.room_password);
    fresh = room;
    await go(`/r/${room.code}`);
  },
  join: async (code, password) => {
    // A refusal is told in the lobby, where the code and the password can be mended.
    if (password) await api.joinRoom(code, password);
    else await api.call('GET', `/api/rooms/${code}/door/`);
    await go(`/r/${code}`);
  },
});
wireShare(store);
wireDialogs();
wireSettings(store, api);
wireReport(store, api);
drawNotices(store);
for (const id of ['leave', 'gone-home', 'join-back']) $(id).addEventListener('click', () => go('/'));
$('waiting-cancel').addEventListener('click', () => {
  // Else the host would be asked for somebody who is gone. If it gets lost, nothing worse comes of it.
  api.call('POST', '/api/rooms/leave/', { code: store.state.code }).catch(() => {});
  go('/');
});
$('home').addEventListener('click', (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go('/');
});
$('gone-again').addEventListener('click', () => {
  asksAgain = true;
  follow();
});
$('logout').addEventListener('click', () => logout());
$('apart').addEventListener('click', () => {
  // The session of the other tabs stays theirs.
  setApart();
  location.reload();
});
window.addEventListener('popstate', follow);

let seen = null;
store.watch((state) => {
  const { session } = state;
  document.body.dataset.view = state.view;
  show($('whoami'), session !== null && state.view !== 'welcome');
  // In a room there may be two of a name; there one has another.
  write($('whoami'), state.room?.you?.name ?? session?.display_name ?? '');
  for (const id of ['logout', 'apart']) show($(id), session !== null && state.view === 'lobby');
  document.title = state.view === 'room' ? `${state.code} · StreamIt` : 'StreamIt';
  if (state.gone) {
    write($('gone-title'), state.gone.title);
    write($('gone-text'), state.gone.text);
    show($('gone-again'), state.gone.again !== undefined);
    write($('gone-again'), state.gone.again ?? '');
  }
  if (seen === state.view) return;
  seen = state.view;
  window.scrollTo(0, 0);
  if (state.view === 'lobby') look();
  // Where a reader goes on: at the field that is to be filled in, or at the heading of what is new.
  const first = { welcome: 'name', room: 'room-title', waiting: 'waiting-title', gone: 'gone-title' }[state.view];
  const field = state.view === 'lobby' ? (document.body.dataset.door ? 'room-password' : 'lobby-title') : first;
  if (field) $(field).focus({ preventScroll: true });
});

store.set({ session: api.session ?? null });
follow();
