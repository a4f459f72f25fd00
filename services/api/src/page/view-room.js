/**
 * Being in a room: the connection, the film that follows it, and what is told of both.
 *
 * @module view-room
 */
import { DriftController } from '/streamit.js';
import { showChat } from './chat.js';
import { $, show, write } from './dom.js';
import { showFilm } from './film.js';
import { codeOfClose } from './gone.js';
import { showPanel } from './panel.js';
import { showPeople } from './people.js';
import { isInCharge } from './rules.js';
import { openShare } from './share.js';
import { now } from './store.js';
import { change } from './voice.js';
import { ofAll, passwordOf } from './whoami.js';

/** For how long something is told that needs no answer. */
const NEWS_MS = 7_000;
/** So many who ask to come in are shown; who asked first gives way, and is told of again after a reload. */
const REQUESTS_MOST = 200;

/**
 * Goes into the room `code`, which the caller has joined.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 * @param {string} code
 * @param {{isNew?: boolean, onend: (code: string) => void}} options `isNew`: it was opened just now
 * @returns {() => void} how to leave it
 */
export function enterRoom(store, api, code, { isNew = false, onend }) {
  const room = api.room(code);
  const drift = new DriftController($('film'), {
    clock: room.clock,
    thresholds: () => room.drift,
    mayControl: () => room.mayControl,
    mutedStart: true,
    storage: ofAll,
    oncommand: (what, time) => room[what](time),
    onready: (position) => room.ready(position),
    onbuffering: (position) => room.buffering(position),
    onchange: () => store.set(),
  });
  const news = (text) => store.set({ news: { text, until: now() + NEWS_MS } });
  const known = { hostId: null, settings: {} };
  const stops = [];
  let isLeft = false;

  const on = {
    status: () => {
      document.body.dataset.status = room.status;
      if (room.status === 'open') store.set({ wasOpen: true, news: null });
    },
    participants: ({ detail }) => {
      // Sent at once to everybody who connects: whoever asks to come in is told of again after it.
      if (detail.you) store.state.requests = [];
      if (room.isHostOnline) store.state.hostAwayUntil = null;
      else store.state.hostAwayUntil ??= NaN;
      known.hostId ??= room.hostId;
      known.settings = room.settings;
    },
    joined: ({ detail }) => {
      store.state.requests = store.state.requests.filter((one) => one.id !== detail.user_id);
    },
    playback: ({ detail }) => drift.follow(detail),
    hostaway: ({ detail }) => store.set({ hostAwayUntil: now() + detail.grace_seconds * 1000 }),
    hostback: () => {
      store.set({ hostAwayUntil: null });
      if (room.you?.id !== room.hostId) news(`${room.host} is back.`);
    },
    host: ({ detail }) => {
      if (known.hostId === detail.host_id) return;
      known.hostId = detail.host_id;
      store.set({ hostAwayUntil: null, isPicking: false, requests: [] });
      news(detail.host_id === room.you?.id ? 'You are the host now: the remote is yours.' : `${detail.host} is the host now.`);
    },
    request: ({ detail }) => {
      const rest = store.state.requests.filter((one) => one.id !== detail.user_id);
      store.set({ requests: [...rest, { id: detail.user_id, name: detail.user }].slice(-REQUESTS_MOST) });
    },
    updated: () => {
      const told = change(known.settings, room.settings);
      if (told !== null) news(told);
      known.settings = room.settings;
    },
    refused: ({ detail }) => {
      // What belongs to a message is told beside it.
      if (!detail.client_id) news(`${detail.message}.`);
    },
    closed: ({ detail }) => {
      if (!isLeft) onend(codeOfClose(detail.code, detail.reason));
    },
  };
  const all = ['status', 'participants', 'joined', 'left', 'history', 'message', 'erased', 'playback', 'readiness',
    'host', 'hostaway', 'hostback', 'request', 'updated', 'source', 'refused', 'closed'];
  for (const name of all) {
    const listen = (event) => {
      on[name]?.(event);
      if (!isLeft) store.set();
    };
    room.addEventListener(name, listen);
    stops.push(() => room.removeEventListener(name, listen));
  }

  store.set({
    view: 'room', code, room, drift, requests: [], muted: new Map(), hostAwayUntil: null, news: null, filmError: null,
    isPicking: false, wasOpen: false,
  });
  write($('room-code'), code);
  write($('room-title'), `Room ${code}`);
  globalThis.streamit = { api, room, drift, clock: room.clock };
  stops.push(
    showFilm(store, api), showChat(store, api), showPeople(store, api), showPanel(store),
    store.watch((state) => show($('settings-open'), isInCharge(state.room))),
  );
  room.connect();
  if (isNew && passwordOf(code) !== null) openShare(store);

  return () => {
    if (isLeft) return;
    isLeft = true;
    // The room first: its last events still find who draws them.
    room.close();
    drift.stop();
    for (const stop of stops) stop();
    for (const box of ['share-box', 'settings', 'report']) $(box).close();
    delete globalThis.streamit;
    document.body.dataset.status = 'idle';
    store.set({ room: null, drift: null });
  };
}
