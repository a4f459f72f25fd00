import * as streamit from '../../streamit.js';
import { line as makeLine } from './link.js';
import { Player } from './player.js';
import { socketsOf } from './socket.js';

/** Browsers let the timers of a hidden page run once a second. */
const HIDDEN_PERIOD = 1000;
/** Timers are late by so much in the mean, ms. */
const TIMER_LATE = 1;
/** What the system clocks of all machines show at the beginning; they are set when somebody likes to. */
const BEGINNING = 1_795_382_432_000;

let born = 0;

/**
 * Somebody who watches: a machine with its own clocks, a line, a browser with a player, and on it the library as a page
 * uses it: its Room with its RoomClock, and its DriftController.
 */
export class Viewer {
  player;
  room;
  drift;
  /** What the library made of what this person did with the player's own controls. */
  commands = [];
  /** Which node new connections get. */
  node = 0;
  /** By how many ms the machine's system clock was set forward. */
  systemStep = 0;
  document = Object.assign(new EventTarget(), { hidden: false });

  #world;
  #server;
  #machine;
  #random;
  #page = Object.assign(new EventTarget(), { document: this.document });
  #socket = null;
  #isReachable = true;
  #timers = new Set();
  #timerId = 0;

  /**
   * @param {object} options
   * @param {object} options.line see `line` in link.js
   * @param {number} [options.clockError] how much faster this machine's monotonic clock is, in millionths
   * @param {number} [options.clockStep] the browser rounds it down to so many ms
   * @param {object} [options.player] see Player
   * @param {object} [options.storage] what the browser has kept from the last visit
   * @param {boolean} [options.mutedStart] begins without sound where the browser refuses it
   * @param {'HOST'|'COHOST'|'VIEWER'} [options.role]
   * @param {object} [options.library] what stands in for the library's classes, where a test breaks one of them
   */
  constructor(world, server, options) {
    const { line, clockError = 0, clockStep = 0.1, player, storage, mutedStart, role = 'VIEWER', library = {} } =
      options;
    this.#world = world;
    this.#server = server;
    this.#random = world.random.fork();
    this.#machine = { speed: 1 + clockError / 1e6, step: clockStep, origin: this.#random.uniform(0, 1e7) };
    const machine = {
      now: () => this.now(),
      wall: () => BEGINNING + world.time + this.systemStep,
      random: () => this.#random.next(),
      setInterval: (act, period) => this.#setTimer(act, period, true),
      setTimeout: (act, delay) => this.#setTimer(act, delay, false),
      clearInterval: (id) => this.#timers.delete(id),
      clearTimeout: (id) => this.#timers.delete(id),
    };
    born += 1;
    const sockets = socketsOf(world, server, {
      line: makeLine(line),
      isReachable: () => this.#isReachable,
      node: () => this.node,
      person: { id: `person-${born}`, name: `Person ${born}`, role },
      onsocket: (socket) => { this.#socket = socket; },
    });
    const token = () => {
      world.settled();
      return Promise.resolve('token');
    };
    this.room = new streamit.Room('SIMUL8', { token, wsBase: 'ws://sim', WebSocket: sockets, page: this.#page, ...machine });
    if (library.RoomClock) this.room.clock = new library.RoomClock(machine);
    this.player = new Player(world, player);
    this.drift = new (library.DriftController ?? streamit.DriftController)(this.player, {
      clock: this.room.clock,
      thresholds: () => this.room.drift,
      mayControl: () => this.room.mayControl,
      oncommand: (what, time) => {
        this.commands.push({ what, time });
        this.room[what](time);
      },
      document: this.document,
      storage,
      mutedStart,
      ...machine,
    });
    this.room.addEventListener('playback', ({ detail }) => this.drift.follow(detail));
  }

  get clock() {
    return this.room.clock;
  }

  /** This machine's monotonic clock, as the browser shows it. */
  now() {
    const { speed, step, origin } = this.#machine;
    return Math.floor((origin + this.#world.time * speed) / step) * step;
  }

  /** How far the estimate of the room's clock is off, in ms, and what the library says it is at most. */
  get clockError() {
    return { error: this.clock.now() - this.#server.clock, bound: this.clock.bound };
  }

  /** How far the film is ahead of the room, in seconds: the truth, not what the controller believes. */
  get ahead() {
    return this.player.truth - this.#server.position;
  }

  /** Comes into the room with the film in the player. */
  comeIn() {
    this.player.load();
    this.room.connect();
  }

  /** There is no network; the browser sees that at once. */
  cutLine() {
    this.#isReachable = false;
    this.#socket?.lose();
  }

  mendLine() {
    this.#isReachable = true;
    this.#page.dispatchEvent(new Event('online'));
  }

  /** The page goes to the background, or comes back. */
  hide(isHidden) {
    this.document.hidden = isHidden;
    this.document.dispatchEvent(new Event('visibilitychange'));
  }

  #setTimer(act, period, isRepeated) {
    const id = (this.#timerId += 1);
    const arm = () => {
      const wait = (this.document.hidden ? Math.max(period, HIDDEN_PERIOD) : period) / this.#machine.speed;
      this.#world.after(wait + this.#random.exponential(TIMER_LATE), () => {
        if (!this.#timers.has(id)) return;
        if (isRepeated) arm();
        else this.#timers.delete(id);
        act();
      });
    };
    this.#timers.add(id);
    arm();
    return id;
  }
}
