import { Room, StreamIt } from '../../streamit.js';
import { randomFrom } from '../harness.js';
import { Time } from './time.js';

/** Takes the browser's place; a test plays the server. */
export class Socket {
  sent = [];
  closed = null;
  /** What nobody reads any more: a network that went away without a word. */
  isDead = false;

  constructor(url, all) {
    this.url = new URL(url);
    all.push(this);
  }

  send(text) {
    if (this.closed) throw new Error('closed');
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closed ??= code;
  }

  /** A frame of the server. */
  hear(frame) {
    if (!this.isDead) this.onmessage?.({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) });
  }

  /** The server, or the network, ends it. */
  end(code, reason = '') {
    this.closed ??= code;
    this.onclose?.({ code, reason });
  }

  /** The frames of a type that were sent. */
  of(type) {
    return this.sent.filter((frame) => frame.type === type);
  }
}

export const ANA = { id: 'ana-1', name: 'Ana', role: 'HOST' };
export const BO = { id: 'bo-1', name: 'Bo', role: 'VIEWER' };

/** A message as the server tells it. */
export const said = (seq, message, more = {}) => (
  { seq, user: ANA.name, user_id: ANA.id, message, created_at: '2026-01-01T00:00:00Z', ...more }
);

/** A room whose server a test plays, seen by Bo unless said otherwise. */
export function visit({ you = BO, token, ...options } = {}) {
  const time = new Time();
  const sockets = [];
  const tokens = [];
  const events = [];
  const page = Object.assign(new EventTarget(), { document: Object.assign(new EventTarget(), { hidden: false }) });
  const wall = { offset: 1.7e12, now: () => wall.offset + time.now() };
  const room = new Room('AB12CD', {
    wsBase: 'wss://example.org/',
    token: token ?? (async (refused) => {
      tokens.push(refused);
      return refused === undefined ? 'token 1' : 'token 2';
    }),
    WebSocket: class extends Socket {
      constructor(url) {
        super(url, sockets);
      }
    },
    page,
    wall: wall.now,
    random: randomFrom(7),
    ...time.parts,
    ...options,
  });
  for (const name of ['status', 'participants', 'joined', 'left', 'history', 'message', 'erased', 'playback', 'readiness',
    'host', 'hostaway', 'hostback', 'request', 'updated', 'source', 'refused', 'closed']) {
    room.addEventListener(name, ({ detail }) => events.push([name, detail]));
  }
  const visit = {
    time, sockets, tokens, events, page, wall, room,
    get socket() {
      return sockets.at(-1);
    },
    /** The details of the events of a name. */
    of: (name) => events.filter(([event]) => event === name).map(([, detail]) => detail),
    participants: (more) => visit.socket.hear({
      type: 'ROOM_PARTICIPANTS', participants: ['Ana', 'Bo'], host: 'Ana', host_id: ANA.id, is_host_online: true,
      members: [ANA, BO], online: 2, is_chat_enabled: true, readiness: 'soft', node: 'n1', source: null, you, ...more,
    }),
    history: (messages = [], more) => visit.socket.hear({
      type: 'CHAT_HISTORY', messages, resumed: false, epoch: 1, head: messages.at(-1)?.seq ?? 0, ...more,
    }),
    playback: (more) => visit.socket.hear({
      type: 'PLAYBACK_STATE', is_playing: false, time: 0, server_time: 1, version: 1, rate: 1, ...more,
    }),
    /** Connects as far as the socket. */
    async dial() {
      room.connect();
      await time.pass(0);
    },
    /** The server lets one in. */
    async welcome(messages, more) {
      visit.participants();
      visit.history(messages, more);
      visit.playback();
      await time.pass(0);
    },
    /** Comes into the room. */
    async come(messages, more) {
      await visit.dial();
      await visit.welcome(messages, more);
    },
    /** The connection ends, and the next one is opened. */
    async fallBack(code = 1006, reason = '') {
      const before = sockets.length;
      visit.socket.end(code, reason);
      await time.until(() => sockets.length > before);
    },
    /** Answers PINGs from now on, with a clock that is `ahead`, a way of `delay` each. */
    answering(ahead = 1_000_000, delay = 10) {
      const { socket } = visit;
      const send = socket.send.bind(socket);
      socket.send = (text) => {
        send(text);
        const { type, t0 } = JSON.parse(text);
        if (type !== 'PING') return;
        time.setTimeout(() => {
          const t1 = Math.floor(time.now() + (visit.ahead ?? ahead));
          time.setTimeout(() => socket.hear({ type: 'PONG', t0, t1, t2: t1 }), delay);
        }, delay);
      };
    },
  };
  return visit;
}

/** An api whose answers a test gives: `answer(path, body, headers)` returns `[status, body, headers]`. */
export function service(answer, options = {}) {
  const time = new Time();
  const wall = { offset: 1.7e12, now: () => wall.offset + time.now() };
  const calls = [];
  const sessions = [];
  const make = (more = {}) => new StreamIt({
    base: 'https://example.org',
    BroadcastChannel: null,
    onsession: (session) => sessions.push(session),
    fetch: async (url, init) => {
      const { pathname: path, search } = new URL(url);
      const call = { method: init.method, path, search, body: JSON.parse(init.body ?? 'null'), headers: init.headers };
      calls.push(call);
      const told = await answer(call, init);
      if (told instanceof Error) throw told;
      const [status, body, headers = {}] = told;
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers });
    },
    wall: wall.now,
    ...time.parts,
    ...options,
    ...more,
  });
  return { time, wall, calls, sessions, make, api: make(), paths: () => calls.map(({ path }) => path) };
}

/** A session as the server tells it. */
export const tokens = (n, more = {}) => ({
  id: 'ana-1', display_name: 'Ana', is_guest: true, access_token: `access ${n}`, token_type: 'Bearer', expires_in: 3_600,
  refresh_token: `refresh ${n}`, ...more,
});

/** A storage as browsers have. */
export class Shelf {
  kept = new Map();
  getItem = (key) => this.kept.get(key) ?? null;
  setItem = (key, value) => { this.kept.set(key, String(value)); };
  removeItem = (key) => { this.kept.delete(key); };
}
