import { Link } from './link.js';
import { percentile } from './measure.js';

const LEAST_LEAD = 150;
const MOST_LEAD = 1500;
/** How often a connection is pinged, ms. */
const PING_PERIOD = 25_000;

/**
 * The side of the server, as docs/protocol.md tells it: one clock in whole milliseconds, PONG, and a film of which
 * everybody is told the same state, to begin a moment ahead.
 */
export class Server {
  state = { type: 'PLAYBACK_STATE', is_playing: false, time: 0, server_time: 0, version: 0, rate: 1 };
  #world;
  #options;
  #connections = new Set();

  /**
   * @param {object} [options]
   * @param {boolean} [options.isScheduled] commands take effect a moment ahead
   * @param {number} [options.clockError] how much faster the room's clock is than it should be, in millionths
   * @param {number[]} [options.nodeErrors] by how many ms each node is off the room's clock
   * @param {number} [options.epoch] the room's clock at true time 0
   * @param {object} [options.thresholds] when films are corrected, as the host set it
   */
  constructor(world, options = {}) {
    this.#world = world;
    this.#options = {
      isScheduled: true, clockError: 0, nodeErrors: [0], epoch: 1_795_382_432_000.37,
      ...options,
    };
    this.state.server_time = this.#now(0);
  }

  /** The room's clock, not rounded: the truth that viewers estimate. */
  get clock() {
    return this.#options.epoch + this.#world.time * (1 + this.#options.clockError / 1e6);
  }

  /** Where the film should be now, in seconds. */
  get position() {
    return this.positionAt(this.clock);
  }

  positionAt(moment) {
    const { is_playing, time, server_time } = this.state;
    return is_playing ? time + Math.max(0, moment - server_time) / 1000 : time;
  }

  /** How far ahead a film is told to begin: twice what 95 of 100 round trips take at most. */
  get lead() {
    if (!this.#options.isScheduled) return 0;
    const known = [...this.#connections].map(({ roundTrips }) => Math.min(...roundTrips)).filter(Number.isFinite);
    const p95 = known.length > 0 ? percentile(known, 0.95) : 0;
    return Math.min(Math.max(2 * p95, LEAST_LEAD), MOST_LEAD);
  }

  /**
   * A connection to a node.
   *
   * @param {object} line both directions
   * @param {(frame: object) => void} receive gets what the server sends
   * @param {() => void} lost called when the node dies
   * @param {number} node
   * @param {{id: string, name: string, role: string}} person
   * @returns what the viewer has of it: `send(frame)`, `close()`
   */
  connect(line, receive, lost, node, person) {
    const connection = { node, lost, roundTrips: [] };
    // The browser answers the server's pings by itself, below the page's own work.
    const pongs = new Link(this.#world, line.up, (asked) => this.#heard(connection, asked));
    connection.down = new Link(this.#world, line.down, (frame) => {
      if (frame.type === 'ping') pongs.send(frame.asked);
      else receive(frame);
    });
    connection.up = new Link(this.#world, line.up, (frame) => this.#take(connection, frame));
    connection.end = () => {
      this.#connections.delete(connection);
      for (const link of [connection.up, connection.down, pongs]) link.cut();
    };
    this.#connections.add(connection);
    for (const frame of this.#welcome(node, person)) connection.down.send(frame);
    this.#ping(connection);
    return { send: (frame) => connection.up.send(frame), close: connection.end };
  }

  /** Somebody sets the clock that all nodes follow: the room is told the same position under a new anchor. */
  setClock(step) {
    const { position } = this;
    this.#options.epoch += step;
    const { is_playing, version } = this.state;
    this.#tell({ is_playing, time: position, server_time: this.#now(0), version: version + 1 });
  }

  /** A node dies with all its connections. */
  kill(node) {
    for (const connection of [...this.#connections].filter((one) => one.node === node)) {
      connection.end();
      connection.lost();
    }
  }

  /** The host's command, `type` PLAY, PAUSE or SEEK, has arrived at a node. */
  command(type, time, node = 0) {
    const now = this.#now(node);
    const willPlay = type === 'PLAY' || (type === 'SEEK' && this.state.is_playing);
    const begin = now + Math.round(willPlay ? this.lead : 0);
    const position = time ?? this.positionAt(now);
    this.#tell({ is_playing: willPlay, time: position, server_time: begin, version: this.state.version + 1 });
  }

  #tell(change) {
    this.state = { ...this.state, ...change };
    for (const { down } of this.#connections) down.send(this.state);
  }

  /** A node's clock, as it goes into frames. */
  #now(node) {
    return Math.floor(this.clock + this.#options.nodeErrors[node]);
  }

  #take(connection, { type, ...frame }) {
    if (type === 'PING') {
      const now = this.#now(connection.node);
      connection.down.send({ type: 'PONG', t0: frame.t0, t1: now, t2: now });
    } else if (type === 'PLAY' || type === 'PAUSE' || type === 'SEEK') {
      this.command(type, frame.time, connection.node);
    }
  }

  /** The three frames of a join. */
  #welcome(node, person) {
    const now = this.#now(node);
    const { state } = this;
    const isRunning = state.is_playing && now >= state.server_time;
    return [
      {
        type: 'ROOM_PARTICIPANTS', participants: [person.name], members: [person], you: person, online: 1, protocol: 1,
        host: null, host_id: null, is_host_online: false, is_chat_enabled: true, node: `node-${node}`,
        readiness: 'off', drift: this.#options.thresholds ?? { enter_ms: 60, leave_ms: 20, seek_ms: 1200 },
      },
      { type: 'CHAT_HISTORY', messages: [], resumed: false, epoch: 1, head: 0 },
      isRunning ? { ...state, time: this.positionAt(now), server_time: now } : state,
    ];
  }

  #ping(connection) {
    if (!this.#connections.has(connection)) return;
    connection.down.send({ type: 'ping', asked: this.#world.time });
    this.#world.after(PING_PERIOD, () => this.#ping(connection));
  }

  /** Of each connection the shorter one of its last two counts: a single long one is an accident. */
  #heard(connection, asked) {
    connection.roundTrips = [this.#world.time - asked, ...connection.roundTrips].slice(0, 2);
  }
}
