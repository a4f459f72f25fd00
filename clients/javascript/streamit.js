/**
 * Watch together: the client of a StreamIt server, for browsers, in one module without dependencies.
 *
 * ```js
 * const api = new StreamIt();
 * await api.guest('Ana');
 * await api.joinRoom('AB12CD');
 * const room = api.room('AB12CD');
 * const film = new DriftController(document.querySelector('video'), {
 *   clock: room.clock, mayControl: () => room.mayControl, oncommand: (what, time) => room.send(what.toUpperCase(), { time }),
 * });
 * room.addEventListener('playback', ({ detail }) => film.follow(detail));
 * room.connect();
 * ```
 *
 * Four classes that can be used apart: {@link StreamIt} speaks HTTP and keeps the session, {@link Room} is a place in a
 * room that outlives connections, {@link RoomClock} tells the room's time with a bound on its error, and
 * {@link DriftController} holds a media element to where the film stands.
 *
 * Nothing here touches the document, and all texts that others wrote (names, messages, titles) come as plain strings:
 * show them with `textContent`. Nothing is logged.
 *
 * @module streamit
 */

/**
 * Where a film stands: at room time `server_time` (milliseconds) it was at `time` (seconds). `server_time` may lie
 * ahead; until then the position is `time`.
 *
 * @typedef {object} PlaybackState
 * @property {boolean} is_playing
 * @property {number} time
 * @property {number} server_time
 * @property {number} [version] which of two states is the newer one
 * @property {number} [rate] seconds of film per second
 * @property {number|null} [epoch] the life of the room in which versions can be compared
 * @property {boolean} [held] the room waits for somebody before it goes on playing
 * @property {number|null} [hold_until] room time at which it stops waiting
 */

/**
 * When the film is corrected, in milliseconds apart.
 *
 * @typedef {object} Thresholds
 * @property {number} enter_ms a correction by speed begins above this
 * @property {number} leave_ms how close it has to bring the film
 * @property {number} seek_ms above this the film jumps
 */

/** What a server tells unless the host set something else. @type {Readonly<Thresholds>} */
export const THRESHOLDS = Object.freeze({ enter_ms: 60, leave_ms: 20, seek_ms: 1200 });

/**
 * The position of a film, in seconds, at room time `roomNow` (milliseconds).
 *
 * @param {PlaybackState} state
 * @param {number} roomNow
 * @returns {number} NaN when the room's time is not known and the film runs
 */
export function positionAt(state, roomNow) {
  if (!state.is_playing) return state.time;
  return state.time + (state.rate ?? 1) * Math.max(0, roomNow - state.server_time) / 1000;
}

/** @type {(value: number, low: number, high: number) => number} */
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---------------------------------------------------------------------------------------------------- the clock

/** One exchange. @typedef {{t0: number, t3: number, rtt: number, low: number, high: number}} Sample */

/** How many exchanges make an estimate that is worth acting on. */
const SAMPLES_WANTED = 8;
/** More are never kept; with one exchange every three seconds the age limit is reached first. */
const SAMPLES_KEPT = 40;
/** An exchange older than this says nothing any more, unless there is no younger one. */
const MAX_AGE_MS = 60_000;
/**
 * By how much two clocks may run apart, per unit of time. The quartz of a computer is within 100 millionths, a worn or
 * hot one within 200; there are two clocks, ours and the server's, so twice that.
 */
const RATE_ERROR = 400e-6;
/** The server tells whole milliseconds. */
const SERVER_ROUNDING_MS = 1;
/** Browsers blur `performance.now()`, against attacks that measure time: by up to this. */
const LOCAL_ROUNDING_MS = 1;

/**
 * Tells the room's time on this machine, and by how much it may be wrong.
 *
 * Each PING and its PONG give an interval that holds the true offset between the two clocks, however lopsided the way
 * there and the way back are: the server can't have read the PING before it was sent, nor answered after the PONG
 * came. An interval widens while it ages, since no two clocks run alike. All of them hold the truth, so their
 * intersection does: its middle is the offset and half its width the bound. The least round trip sets how narrow it
 * is, and another exchange can only make it narrower.
 *
 * Only differences of one monotonic clock are used. Setting the clock of the machine changes nothing.
 */
export class RoomClock {
  #now;
  #maxAge;
  #resolution;
  /** Intervals `[low, high]` of room time minus our time, as measured, the oldest first. @type {Sample[]} */
  #samples = [];
  /** What was measured before {@link RoomClock#renew}; it counts until there is enough that is new. @type {Sample[]} */
  #former = [];

  /**
   * @param {object} [options]
   * @param {() => number} [options.now] a monotonic clock, in milliseconds
   * @param {number} [options.maxAge] for how many milliseconds an exchange counts
   * @param {number} [options.resolution] how coarse `now` is, in milliseconds
   */
  constructor({ now = () => performance.now(), maxAge = MAX_AGE_MS, resolution = LOCAL_ROUNDING_MS } = {}) {
    this.#now = now;
    this.#maxAge = maxAge;
    this.#resolution = resolution;
  }

  /**
   * Takes in one exchange. What can't be one is ignored.
   *
   * @param {number} t0 when the PING was sent, on our clock
   * @param {number} t1 when the server had it, on the room's
   * @param {number} t2 when the server answered, on the room's
   * @param {number} t3 when the answer came, on our clock
   * @returns {boolean} whether it was taken
   */
  add(t0, t1, t2, t3) {
    const around = t3 - t0;
    const blur = SERVER_ROUNDING_MS + this.#resolution;
    // Where the clocks are coarse, an exchange may seem to take less than no time; but not much less.
    if (!Number.isFinite(around + t1 + t2) || around < 0 || t2 < t1 || around - (t2 - t1) < -2 * blur) return false;
    const rtt = Math.max(0, around - (t2 - t1));
    const sample = { t0, t3, rtt, low: t2 - t3 - blur, high: t1 - t0 + blur };
    const now = Math.max(t3, this.#now());
    this.#forget(now);
    // Two exchanges with the same clock agree. Where they don't, the room's clock has jumped, or ours stood still
    // while the machine slept: what was learnt before is void.
    if (!this.#estimate([...this.#former, sample], now)) this.#former = [];
    if (!this.#estimate([...this.#samples, sample], now)) this.#samples = [];
    this.#samples.push(sample);
    if (this.#samples.length > SAMPLES_KEPT) this.#samples.shift();
    if (this.#samples.length >= SAMPLES_WANTED) this.#former = [];
    return true;
  }

  /** Room time minus ours, in milliseconds; NaN before the first exchange. */
  get offset() {
    return this.#best()?.offset ?? NaN;
  }

  /** {@link RoomClock#now} is wrong by at most this, in milliseconds; NaN before the first exchange. */
  get bound() {
    return this.#best()?.bound ?? NaN;
  }

  /** The least round trip of those that count, in milliseconds; NaN before the first exchange. */
  get rtt() {
    this.#forget(this.#now());
    const all = this.#inUse();
    return all.length ? Math.min(...all.map((sample) => sample.rtt)) : NaN;
  }

  /** Whether there are enough fresh exchanges for a film to start by. */
  get isReady() {
    this.#forget(this.#now());
    return this.#samples.length >= SAMPLES_WANTED || this.#former.length >= SAMPLES_WANTED;
  }

  /** Whether more exchanges are wanted soon. */
  get isHungry() {
    this.#forget(this.#now());
    return this.#samples.length < SAMPLES_WANTED;
  }

  /** The room's time, in Unix milliseconds; NaN before the first exchange. */
  now() {
    return this.#now() + this.offset;
  }

  /** Forgets everything. */
  reset() {
    this.#samples = [];
    this.#former = [];
  }

  /**
   * Measures anew, after a reconnect (another server may answer) or a sleep. What was known holds until there is enough
   * that is new, or something new contradicts it.
   */
  renew() {
    if (this.#samples.length > 0) this.#former = this.#inUse();
    this.#samples = [];
  }

  /** Drops what is too old; one is always kept, and its bound grows. @param {number} now */
  #forget(now) {
    const fresh = (/** @type {Sample} */ sample) => now - sample.t3 <= this.#maxAge;
    for (const list of [this.#samples, this.#former]) {
      while (list.length > 1 && !fresh(list[0])) list.shift();
    }
  }

  /** A few new exchanges know less than many of a moment ago that they agree with. */
  #inUse() {
    return this.#former.length > this.#samples.length ? this.#former : this.#samples;
  }

  #best() {
    const now = this.#now();
    this.#forget(now);
    const all = this.#inUse();
    return all.length ? this.#estimate(all, now) : undefined;
  }

  /**
   * What all of `samples` allow at `now`; undefined when they contradict each other.
   *
   * @param {Sample[]} samples
   * @param {number} now
   */
  #estimate(samples, now) {
    let [low, high] = [-Infinity, Infinity];
    for (const sample of samples) {
      // Each side since the moment that it rests on.
      low = Math.max(low, sample.low - Math.max(0, now - sample.t3) * RATE_ERROR);
      high = Math.min(high, sample.high + Math.max(0, now - sample.t0) * RATE_ERROR);
    }
    return low <= high ? { offset: (low + high) / 2, bound: (high - low) / 2 } : undefined;
  }
}

// ----------------------------------------------------------------------------------------------------- the film

/** @typedef {ReturnType<typeof globalThis.setTimeout>|undefined} Timer */

/** How often a controller looks at its player. */
const STEP_MS = 100;
/** By how much a film may run faster or slower: few people hear 5 %. */
const MAX_RATE_CHANGE = 0.05;
/** In how many seconds a correction aims to be done; slower where {@link MAX_RATE_CHANGE} forbids it. */
const HORIZON_S = 1;
/** Corrections by jumping come no faster than this. */
const SEEK_PAUSE_MS = 5_000;
/** So often in a row a film has to be too far off: one odd reading of a player is nothing. */
const DOUBTS = 3;
/** Who stands still and is behind by more than this jumps rather than starts. */
const START_BEHIND_S = 0.15;
/** What a seek is taken to cost while nothing is loaded yet: to be early is a moment of standing. */
const COLD_SEEK_MS = 800;
/** A player that stands at most this far from where it should needs no seek to start. */
const NEAR_S = 0.01;
/** A film that stands is this exact. */
const STILL_S = 0.02;
/** A change of position this small while the film runs is the doing of a streaming library, not of a person. */
const NUDGE_S = 1;
/** Nothing is told of a player that can't go on until it has lasted so long; nearly every seek is quicker. */
const HICCUP_MS = 250;
/** A player that says that it plays and does not move for so long has stalled. */
const FROZEN_MS = 1_000;
/** Some browsers load nothing before they are told to play: after so long we try without `canplay`. */
const LOAD_PATIENCE_MS = 3_000;
/** For so long after the host used the player's own controls the room's answer is waited for. */
const ANSWER_MS = 3_000;
/** A host who drags the handle is heard this often. */
const DRAG_MS = 200;
/** Phones pause a film that leaves full screen, or that will be hidden: the two come within this, in either order. */
const LEAVING_MS = 500;
/** Browsers let the timers of a page that nobody sees run this rarely. */
const HIDDEN_LOOK_MS = 1_000;
/** No player takes longer from `play()` to its first frame, unless it has to wait for data. */
const START_MOST_MS = 300;
/** Where a storage keeps what a start takes. */
const START_KEY = 'streamit.start';
/** When a start is measured: players need a moment to run steadily. */
const SETTLED_MS = 300;
/** How much of a new reading goes into the estimate of the drift; the rest is what was expected. */
const GAIN = 0.35;
/** The same for what is usual: the last five seconds or so. */
const USUAL_GAIN = 0.02;

const HAVE_METADATA = 1;
const HAVE_FUTURE_DATA = 3;
const NETWORK_LOADING = 2;

/**
 * @typedef {'idle'|'loading'|'waiting'|'playing'|'correcting'|'seeking'|'paused'|'blocked'|'buffering'|'ended'} DriftState
 *
 * - `idle`: there is no film to follow yet
 * - `loading`: the player knows nothing of its film
 * - `waiting`: stands ready for a common start, for the clock, or because the room is held
 * - `playing`, `correcting`: runs; at its own speed, or a little faster or slower
 * - `seeking`: on its way to another position
 * - `paused`: the room, or this viewer alone, has paused
 * - `blocked`: the browser wants a click first: call {@link DriftController#unblock} in its handler
 * - `buffering`: has to wait for data
 * - `ended`: the film is over
 */

/**
 * Holds a media element to where the film stands in the room.
 *
 * What is a little off is made up by speed, which nobody notices, and what is far off by a jump. A jump goes to where
 * the film will be once the player is there, and waits for that moment; so do all starts. What a seek and what
 * `play()` cost on this machine is learnt.
 *
 * The element's own controls may be shown. Used by somebody who may control the room, they become commands; the
 * controller's own changes never do. A viewer may pause for himself and is taken back when he plays.
 */
export class DriftController {
  /** Called with the new state when it changes. @type {((state: DriftState) => void)|undefined} */
  onchange;
  /** When the film is corrected. @type {Thresholds|(() => Thresholds)} */
  thresholds;

  #media;
  #clock;
  #now;
  #timers;
  #document;
  #mayControl;
  #tell;
  #mutedStart;
  #storage;

  /** @type {PlaybackState|null} */
  #playback = null;
  /** @type {DriftState} */
  #state = 'idle';
  #drift = NaN;
  /** @type {Timer} */
  #interval;
  /** @type {Timer} */
  #alarm;
  /** @type {Timer} */
  #dragging;
  #isStopped = false;
  #steppedAt = NaN;
  /** How often the browser lets us look: less often where nobody looks at the page. */
  #tickedAt = NaN;
  #period = STEP_MS;

  /** What the element was told last: whether to play, how fast, and where to go while that seek is under way. */
  #wants = false;
  #rate = 1;
  #goal = NaN;
  #seekingSince = NaN;
  /** Set while the player stands where the film will be and waits for its moment. */
  #isPoised = false;
  /** The anchor that has been started already, so that the last milliseconds before it are not waited for again. */
  #started = NaN;
  /** A jump is allowed although the last one was just now: a command or a new film wants it. */
  #mayJump = true;
  #jumpedAt = -Infinity;
  /** Whether a film that stands was put in its place. */
  #isPlaced = false;

  #smooth = NaN;
  #isCorrecting = false;
  #isSettling = false;
  #wasOnTime = false;
  #launchedAt = NaN;
  #doubts = 0;
  /** The drift of the last seconds, and how often in a row it was another one. */
  #usual = NaN;
  #slips = 0;
  #movedAt = NaN;
  #lastTime = NaN;

  /** What a seek, and what `play()`, cost here, in milliseconds. */
  #seekCost = 450;
  #playCost = 30;
  #starts = 0;
  #canChangeRate = true;

  #trustsClock = false;
  #isBlocked = false;
  #isMutedByUs = false;
  /** When the player left full screen, and the look at a pause that may come of it. */
  #leftFullAt = -Infinity;
  /** @type {Timer} */
  #doubt;
  #isPauseAsked = false;
  /** The viewer has paused for himself. */
  #isAside = false;
  #asideSince = NaN;
  /** The browser has paused a page that nobody sees. */
  #isAsleep = false;
  /** Until when the room's answer to what the host did with the player is waited for. */
  #asked = NaN;
  #told = '';
  #stuckSince = NaN;
  #keptPitch;

  /**
   * @param {HTMLMediaElement} media
   * @param {object} options
   * @param {{now(): number, isReady: boolean, bound?: number}} options.clock tells the room's time, as a {@link RoomClock} does
   * @param {Thresholds|(() => Thresholds)} [options.thresholds] as the server tells them
   * @param {boolean|(() => boolean)} [options.mayControl] whether this person is host or co-host
   * @param {(what: 'play'|'pause'|'seek', time: number) => void} [options.oncommand] the host used the player's controls
   * @param {(position: number) => void} [options.onready] the player can go on
   * @param {(position: number) => void} [options.onbuffering] the player can't go on
   * @param {(state: DriftState) => void} [options.onchange]
   * @param {boolean} [options.mutedStart] start without sound where the browser refuses a start with it
   * @param {Pick<Storage, 'getItem'|'setItem'>|null} [options.storage] where it is kept what a start takes on this
   *   machine, so that the first one of the next visit is in time, too: `localStorage`
   * @param {() => number} [options.now] a monotonic clock, in milliseconds
   * @param {typeof globalThis.setTimeout} [options.setTimeout]
   * @param {typeof globalThis.clearTimeout} [options.clearTimeout]
   * @param {typeof globalThis.setInterval} [options.setInterval]
   * @param {typeof globalThis.clearInterval} [options.clearInterval]
   * @param {Document|EventTarget|null} [options.document] tells whether the page is seen
   */
  constructor(media, {
    clock, thresholds = THRESHOLDS, mayControl = false, oncommand, onready, onbuffering, onchange, mutedStart = false,
    storage = null,
    now = () => performance.now(), document = globalThis.document ?? null, ...timers
  }) {
    this.#media = media;
    this.#clock = clock;
    this.thresholds = thresholds;
    this.#mayControl = typeof mayControl === 'function' ? mayControl : () => mayControl;
    this.#tell = { command: oncommand, ready: onready, buffering: onbuffering };
    this.onchange = onchange;
    this.#mutedStart = mutedStart;
    this.#storage = storage;
    this.#recallStarts();
    this.#now = now;
    this.#document = /** @type {Document|null} */ (document);
    this.#timers = timersOf(timers);
    for (const [name, listener] of this.#listeners) media.addEventListener(name, listener);
    document?.addEventListener('visibilitychange', this.#onvisible);
    this.#keptPitch = media.preservesPitch;
    if ('preservesPitch' in media) media.preservesPitch = true;
    if ('preload' in media && media.preload !== 'auto') media.preload = 'auto';
    this.#interval = this.#timers.setInterval(() => this.#tick(), STEP_MS);
  }

  /** How far the player is ahead of the room, in seconds; NaN when that is not known. */
  get drift() {
    return this.#drift;
  }

  /** What the player does. @returns {DriftState} */
  get state() {
    return this.#state;
  }

  /** Whether the film runs without sound because the browser refused it; {@link DriftController#unblock} ends that. */
  get isMutedStart() {
    return this.#isMutedByUs && this.#media.muted;
  }

  /**
   * From now on the film stands as `playback` says. An older version than the last one of the same epoch is ignored.
   *
   * @param {PlaybackState|null} playback
   */
  follow(playback) {
    if (this.#isStopped) return;
    const before = this.#playback;
    const isNew = !before || before.epoch !== playback?.epoch;
    if (playback && !isNew && Number(playback.version) < Number(before.version)) return;
    this.#playback = playback;
    if (!playback) {
      this.#isPoised = false;
      this.#isCorrecting = false;
      this.#setRate(1);
    } else if (isNew || before.version !== playback.version || playback.version === undefined) {
      if (!before) this.#wants = !this.#media.paused && playback.is_playing;
      this.#asked = NaN;
      this.#isPoised = false;
      this.#started = NaN;
      this.#isPlaced = false;
      this.#mayJump = true;
      this.#isSettling = true;
    }
    this.step();
  }

  /** Looks at the player and does what is due. Called by itself, ten times a second and at each event that matters. */
  step() {
    if (this.#isStopped) return;
    const now = this.#now();
    const since = Number.isFinite(this.#steppedAt) ? Math.max(0, now - this.#steppedAt) : STEP_MS;
    this.#steppedAt = now;
    this.#timers.clearTimeout(this.#alarm);
    const state = this.#decide(now, since);
    this.#report(now);
    if (state !== this.#state) {
      this.#state = state;
      this.onchange?.(state);
    }
  }

  /**
   * Starts what the browser refused to start, or turns on the sound it refused. Call it while handling a click or a key.
   */
  unblock() {
    if (this.#isStopped) return;
    if (this.#isMutedByUs) this.#media.muted = false;
    this.#isMutedByUs = false;
    this.#isAside = false;
    this.#isAsleep = false;
    if (!this.#wants || this.#isBlocked) {
      // Some browsers remember for each element that a person started it. Its right time to start may be later.
      this.#wants = false;
      ignore(this.#media.play());
      this.#media.pause();
      this.#mayJump = true;
    }
    this.#isBlocked = false;
    this.step();
  }

  /** Leaves the player alone for good, at its normal speed, and playing or not as it is. */
  stop() {
    if (this.#isStopped) return;
    this.#setRate(1);
    this.#isStopped = true;
    for (const [name, listener] of this.#listeners) this.#media.removeEventListener(name, listener);
    this.#document?.removeEventListener('visibilitychange', this.#onvisible);
    this.#timers.clearInterval(this.#interval);
    this.#timers.clearTimeout(this.#alarm);
    this.#timers.clearTimeout(this.#dragging);
    this.#dropDoubt();
    if (this.#keptPitch !== undefined) this.#media.preservesPitch = this.#keptPitch;
    this.#drift = NaN;
    this.#state = 'idle';
  }

  #tick() {
    const now = this.#now();
    if (now > this.#tickedAt) this.#period = now - this.#tickedAt;
    this.#tickedAt = now;
    this.step();
  }

  /** One look. @returns {DriftState} @param {number} now @param {number} since */
  #decide(now, since) {
    const [media, playback] = [this.#media, this.#playback];
    this.#drift = NaN;
    if (!playback) return 'idle';
    if (media.error || media.readyState < HAVE_METADATA) return 'loading';
    const room = this.#clock.now();
    const position = positionAt(playback, room);
    if (!media.seeking && Number.isFinite(position) && this.#canReach(position)) {
      this.#drift = media.currentTime - Math.min(position, this.#end);
    }
    if (!media.seeking && this.#canGoOn(now)) this.#learnSeek(now);
    if (now < this.#asked) return this.#state;
    if (!playback.is_playing) return this.#stand(playback);
    if (this.#isAside || this.#isAsleep) return 'paused';
    if (this.#isBlocked) return 'blocked';
    if (!this.#trustsClock && !this.#clock.isReady) return 'waiting';
    this.#trustsClock = true;
    if (Number.isNaN(position)) {
      // A clock that has to be measured anew is no reason to stop a film that runs.
      this.#isCorrecting = false;
      this.#setRate(1);
      return this.#wants ? 'playing' : 'waiting';
    }
    if (!this.#canReach(position)) return this.#run(now);
    if (this.#isOver(position)) return this.#finish();
    if (media.seeking) return 'seeking';
    if (this.#isPoised) return this.#poise(now, room);
    const isAhead = room < playback.server_time;
    if (isAhead && this.#started !== playback.server_time) {
      return this.#near(playback.time) ? this.#poise(now, room) : this.#jump(now, room);
    }
    if (!this.#wants) return this.#start(now, room);
    return this.#keep(now, since, room);
  }

  // --- a film that stands

  /** @param {PlaybackState} playback @returns {DriftState} */
  #stand(playback) {
    const media = this.#media;
    this.#isPoised = false;
    this.#isCorrecting = false;
    this.#pause();
    this.#setRate(1);
    const place = Math.min(playback.time, this.#end);
    if (media.seeking) return 'seeking';
    // Once: some players can't go exactly where they are told.
    if (!this.#isPlaced && this.#canReach(place)) {
      this.#isPlaced = true;
      if (Math.abs(media.currentTime - place) > STILL_S) {
        this.#seek(place);
        return 'seeking';
      }
    }
    if (playback.held) return 'waiting';
    return this.#isOver(place) ? 'ended' : 'paused';
  }

  /** @returns {DriftState} */
  #finish() {
    const media = this.#media;
    this.#isPoised = false;
    if (media.ended) this.#wants = false;
    // What is nearly over may run to its end.
    else if (!this.#isPlaced && !media.seeking && this.#end - media.currentTime > START_BEHIND_S) {
      this.#isPlaced = true;
      this.#pause();
      this.#seek(this.#end);
    }
    this.#setRate(1);
    return 'ended';
  }

  // --- a film that starts

  /**
   * Goes to where the film will be once the player is there, and has it wait for that moment.
   *
   * @param {number} now
   * @param {number} room
   * @returns {DriftState}
   */
  #jump(now, room) {
    const playback = this.#film;
    const cost = this.#media.readyState < HAVE_FUTURE_DATA ? Math.max(this.#seekCost, COLD_SEEK_MS) : this.#seekCost;
    const arrival = Math.max(playback.server_time, room + cost);
    this.#jumpedAt = now;
    this.#mayJump = false;
    this.#isPoised = true;
    this.#isCorrecting = false;
    this.#pause();
    this.#setRate(1);
    this.#seek(Math.min(positionAt(playback, arrival), this.#end));
    return 'seeking';
  }

  /**
   * Waits for the moment at which the film is where the player stands.
   *
   * @param {number} now
   * @param {number} room
   * @returns {DriftState}
   */
  #poise(now, room) {
    const playback = this.#film;
    this.#isPoised = true;
    this.#pause();
    this.#setRate(1);
    if (!this.#canGoOn(now)) return 'buffering';
    const lead = (this.#media.currentTime - playback.time) / (playback.rate ?? 1) * 1000;
    const moment = playback.server_time + Math.max(0, lead);
    const left = moment - this.#playCost - room;
    // The timers of a page that nobody sees come once a second: half a second early is nearer than what they make of it.
    if (left > (this.#document?.hidden ? HIDDEN_LOOK_MS / 2 : 1)) {
      if (left > 2 * this.#seekCost + 2_000 && moment > playback.server_time && this.#allowsJump(now)) {
        return this.#jump(now, room);
      }
      this.#alarm = this.#timers.setTimeout(() => this.step(), left);
      return 'waiting';
    }
    if (-left / 1000 > START_BEHIND_S && this.#allowsJump(now)) return this.#jump(now, room);
    return this.#launch(now, -left);
  }

  /** The film runs and the player does not. @param {number} now @param {number} room @returns {DriftState} */
  #start(now, room) {
    const behind = -this.#drift;
    if (behind <= 0 && (-behind < NUDGE_S || !this.#allowsJump(now))) return this.#poise(now, room);
    if ((behind > START_BEHIND_S || behind < 0) && this.#allowsJump(now)) return this.#jump(now, room);
    return this.#canGoOn(now) ? this.#launch(now, Infinity) : 'buffering';
  }

  /** @param {number} now @param {number} late @returns {DriftState} */
  #launch(now, late) {
    this.#isPoised = false;
    this.#started = this.#film.server_time;
    this.#mayJump = false;
    this.#isSettling = true;
    this.#isCorrecting = false;
    this.#wasOnTime = late < SETTLED_MS / 10;
    this.#launchedAt = now;
    this.#movedAt = now;
    this.#smooth = NaN;
    this.#play();
    return this.#isBlocked ? 'blocked' : 'playing';
  }

  // --- a film that runs

  /** Plays what has no position that could be compared: a live stream. @param {number} now @returns {DriftState} */
  #run(now) {
    this.#isPoised = false;
    this.#setRate(1);
    if (!this.#wants) this.#launch(now, Infinity);
    else if (this.#media.paused && now - this.#launchedAt > FROZEN_MS) this.#wants = false;
    if (this.#isBlocked) return 'blocked';
    return this.#media.readyState < HAVE_FUTURE_DATA ? 'buffering' : 'playing';
  }

  /** @param {number} now @param {number} since @param {number} room @returns {DriftState} */
  #keep(now, since, room) {
    const media = this.#media;
    if (media.paused) {
      // The browser refused without a word, or the element was loaded anew. Not more often than a person would.
      if (now - this.#launchedAt > FROZEN_MS) this.#wants = false;
      return 'waiting';
    }
    if (media.currentTime !== this.#lastTime) this.#movedAt = now;
    this.#lastTime = media.currentTime;
    if (media.readyState < HAVE_FUTURE_DATA || now - this.#movedAt > FROZEN_MS) {
      this.#setRate(1);
      this.#isCorrecting = false;
      this.#isSettling = true;
      this.#wasOnTime = false;
      this.#smooth = NaN;
      return 'buffering';
    }
    if (now - this.#launchedAt < SETTLED_MS) return 'playing';
    const off = this.#estimate(since);
    const { enter_ms: enter, leave_ms: leave, seek_ms: far } = this.#limits;
    const apart = Math.abs(off) * 1000;
    const much = START_BEHIND_S * 1000;
    if (apart > far || (!this.#canChangeRate && apart > Math.max(enter, much))) {
      if (this.#allowsJump(now)) return this.#jump(now, room);
    }
    // A command that was heard too late to start by.
    if (this.#mayJump && apart > much) return this.#jump(now, room);
    this.#mayJump = false;
    if (this.#isSettling) this.#learnStart(off);
    if (this.#hasSlipped(off, leave)) this.#isSettling = true;
    this.#doubts = apart > enter ? this.#doubts + 1 : 0;
    // The middle between right and the leaving threshold: two viewers who left at its two ends would be twice apart.
    if (this.#isCorrecting) this.#isCorrecting = apart > leave / 2;
    else this.#isCorrecting = this.#doubts >= DOUBTS || (this.#isSettling || this.#isRare) && apart > leave / 2;
    this.#isSettling = false;
    // Whoever looks rarely, as a hidden page does, corrects gently, so as not to be past it at the next look.
    const horizon = Math.max(HORIZON_S, 2 * this.#period / 1000);
    this.#setRate(this.#isCorrecting ? 1 + clamp(-off / horizon, -MAX_RATE_CHANGE, MAX_RATE_CHANGE) : 1);
    return this.#isCorrecting && this.#canChangeRate ? 'correcting' : 'playing';
  }

  /** The drift without the noise of single readings. @param {number} since */
  #estimate(since) {
    const expected = this.#smooth + (this.#rate - 1) * since / 1000;
    const surprise = this.#drift - expected;
    // A step is no noise.
    if (Number.isNaN(surprise) || Math.abs(surprise) > START_BEHIND_S) this.#smooth = this.#drift;
    else this.#smooth = expected + GAIN * surprise;
    return this.#smooth;
  }

  /**
   * Whether the player lost or gained something at once, as a busy machine makes it, rather than bit by bit as a clock
   * does. Two viewers who both slipped may be far apart though each is within the entering threshold. Where the room's
   * time is not known that well it would be noise that is corrected.
   *
   * @param {number} off
   * @param {number} leave
   */
  #hasSlipped(off, leave) {
    const slip = Math.abs(off - this.#usual) * 1000;
    if (this.#isCorrecting || this.#isSettling || !(slip < Infinity)) this.#usual = off;
    else this.#usual += (off - this.#usual) * USUAL_GAIN;
    this.#slips = slip > 0.75 * leave ? this.#slips + 1 : 0;
    if (this.#slips < DOUBTS || Number(this.#clock.bound) > 1.5 * leave) return false;
    this.#slips = 0;
    this.#usual = off;
    return true;
  }

  /** @param {number} off */
  #learnStart(off) {
    if (this.#wasOnTime && Math.abs(off) < 0.5) {
      // The first start tells nearly all there is to know of a machine, those after it even out the noise.
      const weight = Math.max(0.25, 1 / (this.#starts + 1.2));
      this.#starts += 1;
      this.#playCost = clamp(this.#playCost - off * 1000 * weight, 0, START_MOST_MS);
      try {
        this.#storage?.setItem(START_KEY, String(Math.round(this.#playCost)));
      } catch {
        // A full or forbidden storage: then it is learnt again.
      }
    }
    this.#wasOnTime = false;
  }

  #recallStarts() {
    try {
      const kept = this.#storage?.getItem(START_KEY) ?? '';
      if (!/^\d{1,3}$/.test(kept)) return;
      this.#playCost = clamp(Number(kept), 0, START_MOST_MS);
      this.#starts = 1;
    } catch {
      // A forbidden storage.
    }
  }

  /** @param {number} now */
  #learnSeek(now) {
    if (Number.isNaN(this.#seekingSince)) return;
    const took = now - this.#seekingSince;
    this.#seekingSince = NaN;
    // Too early costs a moment of standing, too late seconds of correction: rather what a slow seek takes here than
    // what the last one took.
    this.#seekCost = clamp(Math.max(took * 1.1, this.#seekCost * 0.95), 50, 3_000);
  }

  // --- what the player can do

  /** What is followed; asked for only while something is. @returns {PlaybackState} */
  get #film() {
    return /** @type {PlaybackState} */ (this.#playback);
  }

  get #limits() {
    const told = typeof this.thresholds === 'function' ? this.thresholds() : this.thresholds;
    return { ...THRESHOLDS, ...told };
  }

  get #end() {
    const { duration } = this.#media;
    return Number.isFinite(duration) && duration > 0 ? duration : Infinity;
  }

  /** @param {number} position */
  #isOver(position) {
    return position >= this.#end || (this.#media.ended && position >= this.#end - NUDGE_S);
  }

  /** @param {number} position */
  #near(position) {
    return Math.abs(this.#media.currentTime - position) <= NEAR_S;
  }

  /** A live stream has no end, and only what it says can be reached. @param {number} position */
  #canReach(position) {
    const { duration, seekable } = this.#media;
    if (duration !== Infinity) return true;
    for (let i = 0; i < (seekable?.length ?? 0); i += 1) {
      if (seekable.start(i) - NUDGE_S <= position && position <= seekable.end(i) + NUDGE_S) return true;
    }
    return false;
  }

  /** @param {number} now */
  #canGoOn(now) {
    const media = this.#media;
    return media.readyState >= HAVE_FUTURE_DATA || now - this.#stuckSince > LOAD_PATIENCE_MS && !media.seeking;
  }

  /** @param {number} now */
  #allowsJump(now) {
    return this.#mayJump || now - this.#jumpedAt >= SEEK_PAUSE_MS;
  }

  // --- what the player is told

  #play() {
    const media = this.#media;
    this.#wants = true;
    let playing;
    try {
      playing = media.play();
    } catch (error) {
      return this.#refused(error);
    }
    playing?.catch?.((error) => {
      if (!this.#isStopped && this.#wants) this.#refused(error);
    });
  }

  /** @param {any} error */
  #refused(error) {
    if (error?.name !== 'NotAllowedError') return;
    if (this.#mutedStart && !this.#media.muted) {
      this.#media.muted = true;
      this.#isMutedByUs = true;
      this.#play();
      return;
    }
    this.#wants = false;
    this.#isBlocked = true;
    this.step();
  }

  #pause() {
    this.#wants = false;
    if (!this.#media.paused) this.#media.pause();
  }

  /** @param {number} position */
  #seek(position) {
    this.#goal = position;
    this.#seekingSince = this.#now();
    this.#smooth = NaN;
    this.#media.currentTime = position;
  }

  /** @param {number} change */
  #setRate(change) {
    // In steps, since each change costs the sound a little; fine ones where it stays for long.
    const steps = this.#isRare ? 5_000 : 200;
    const wanted = (this.#playback?.rate ?? 1) * Math.round(change * steps) / steps;
    this.#rate = this.#canChangeRate ? wanted : 1;
    if (!this.#canChangeRate || Math.abs(this.#media.playbackRate - wanted) < 1e-6) return;
    try {
      this.#media.playbackRate = wanted;
      this.#canChangeRate = Math.abs(this.#media.playbackRate - wanted) < 1e-3;
    } catch {
      this.#canChangeRate = false;
    }
  }

  // --- what the player tells

  #onvisible = () => {
    if (this.#document?.hidden) {
      // Some browsers pause what will be hidden a moment before they say so.
      if (this.#isAside && this.#now() - this.#asideSince < LEAVING_MS) [this.#isAside, this.#isAsleep] = [false, true];
      return;
    }
    this.#isAsleep = false;
    this.#period = STEP_MS;
    this.#tickedAt = NaN;
    this.step();
  };

  /** @type {[string, () => void][]} */
  #listeners = [
    ...['loadedmetadata', 'durationchange', 'canplay', 'playing', 'waiting', 'ended', 'error', 'ratechange']
      .map((name) => /** @type {[string, () => void]} */ ([name, () => this.step()])),
    ['emptied', () => this.#onemptied()],
    ['webkitendfullscreen', () => this.#onleftfull()],
    ['play', () => this.#onplay()],
    ['pause', () => this.#onpause()],
    ['seeking', () => this.#onseeking()],
    ['seeked', () => this.#onseeked()],
  ];

  /** Another film: nothing of the last one counts. */
  #onemptied() {
    this.#wants = false;
    this.#isPoised = false;
    this.#isPlaced = false;
    this.#isAside = false;
    this.#mayJump = true;
    this.#started = NaN;
    this.#goal = NaN;
    this.#seekingSince = NaN;
    this.#asked = NaN;
    this.#told = '';
    this.#stuckSince = NaN;
    this.#timers.clearTimeout(this.#dragging);
    this.#dropDoubt();
    this.step();
  }

  /** An event comes after what caused it: it is somebody else's doing if the player is not as it was told to be. */
  #onplay() {
    const media = this.#media;
    if (this.#wants || media.paused || !this.#playback) return;
    if (this.#isPoised || (this.#playback.is_playing && this.#isOverNow)) {
      // It runs in a moment anyway, or can't run any more.
      if (this.#isPoised) this.#pause();
    } else if (this.#playback.is_playing) {
      this.#dropDoubt();
      // The room has not answered yet to the pause that is taken back here.
      if (this.#isPauseAsked && this.#now() < this.#asked) this.#command('play', media.currentTime);
      this.#isAside = false;
      this.#isAsleep = false;
      this.#isBlocked = false;
      this.#wants = true;
      this.#mayJump = true;
      this.#isSettling = true;
      this.#launchedAt = this.#now();
      this.#movedAt = this.#now();
    } else {
      // Nobody starts alone; the room's answer starts everybody, this player too.
      this.#pause();
      if (this.#mayControl()) this.#command('play', media.currentTime);
    }
    this.step();
  }

  #onpause() {
    const media = this.#media;
    if (!this.#wants || !media.paused) return;
    this.#wants = false;
    if (media.ended || !this.#playback?.is_playing) return;
    const now = this.#now();
    // A browser that saves power pauses what nobody sees: the host's room goes on.
    if (this.#document?.hidden) {
      this.#isAsleep = true;
    } else if (now - this.#leftFullAt < LEAVING_MS) {
      this.#mayJump = true; // nobody's doing: it runs on at once
    } else if (/** @type {{webkitDisplayingFullscreen?: boolean}} */ (media).webkitDisplayingFullscreen) {
      this.#asked = now + LEAVING_MS;
      this.#doubt = this.#timers.setTimeout(() => {
        this.#doubt = undefined;
        if (!this.#wants && media.paused && this.#playback?.is_playing) this.#paused();
      }, LEAVING_MS);
    } else {
      this.#paused();
    }
    this.step();
  }

  /** A person has paused the film: for all, or for himself. */
  #paused() {
    if (this.#mayControl()) this.#command('pause', this.#media.currentTime);
    else [this.#isAside, this.#asideSince] = [true, this.#now()];
  }

  #onleftfull() {
    this.#leftFullAt = this.#now();
    this.#mayJump = true;
    this.#dropDoubt();
    this.step();
  }

  /** Whatever paused the film, nobody is asked about it. */
  #dropDoubt() {
    if (this.#doubt === undefined) return;
    this.#timers.clearTimeout(this.#doubt);
    this.#doubt = undefined;
    this.#asked = NaN;
  }

  #onseeking() {
    const media = this.#media;
    if (!this.#playback || Math.abs(media.currentTime - this.#goal) < 0.3) return;
    const position = Math.min(positionAt(this.#playback, this.#clock.now()), this.#end);
    const far = this.#playback.is_playing ? NUDGE_S : STILL_S;
    // Nobody's command either while the room's time is not known.
    if (!(Math.abs(media.currentTime - position) >= far)) return;
    this.#goal = NaN;
    if (!this.#mayControl()) {
      this.#isPlaced = false;
      return;
    }
    this.#asked = this.#now() + ANSWER_MS;
    this.#isPoised = false;
    this.#timers.clearTimeout(this.#dragging);
    const to = media.currentTime;
    this.#dragging = this.#timers.setTimeout(() => this.#command('seek', to), DRAG_MS);
  }

  #onseeked() {
    if (!this.#media.seeking) this.#goal = NaN;
    this.step();
  }

  get #isRare() {
    return this.#period > 5 * STEP_MS;
  }

  get #isOverNow() {
    return this.#isOver(positionAt(this.#film, this.#clock.now()));
  }

  /** @param {'play'|'pause'|'seek'} what @param {number} time */
  #command(what, time) {
    this.#asked = this.#now() + ANSWER_MS;
    this.#isPauseAsked = what === 'pause';
    this.#tell.command?.(what, time);
  }

  /** Tells when the player can't go on, and when it can again. @param {number} now */
  #report(now) {
    const media = this.#media;
    const isFrozen = this.#wants && this.#state === 'buffering' && now - this.#movedAt > FROZEN_MS;
    if (media.ended || (media.readyState >= HAVE_FUTURE_DATA && !media.seeking && !isFrozen)) {
      this.#stuckSince = NaN;
      this.#say('ready');
      return;
    }
    const hasFilm = media.readyState > 0 || media.networkState === NETWORK_LOADING;
    if (!hasFilm || media.error) return;
    if (Number.isNaN(this.#stuckSince)) this.#stuckSince = now;
    if (now - this.#stuckSince >= HICCUP_MS) this.#say('buffering');
  }

  /** @param {'ready'|'buffering'} what */
  #say(what) {
    if (this.#told === what) return;
    this.#told = what;
    this.#tell[what]?.(this.#media.currentTime);
  }
}

/** @param {Promise<unknown>|undefined} promise */
const ignore = (promise) => void promise?.catch?.(() => {});

/**
 * @typedef {object} Timers
 * @property {(act: () => void, delay: number) => Timer} setTimeout
 * @property {(timer: Timer) => void} clearTimeout
 * @property {(act: () => void, delay: number) => Timer} setInterval
 * @property {(timer: Timer) => void} clearInterval
 */

/**
 * The browser's timers, or those that were handed in. They are called without a `this`, as browsers want it.
 *
 * @param {Record<string, any>} parts
 * @returns {Timers}
 */
function timersOf({ setTimeout, clearTimeout, setInterval, clearInterval }) {
  return {
    setTimeout: setTimeout ?? ((...more) => globalThis.setTimeout(...more)),
    clearTimeout: clearTimeout ?? ((timer) => globalThis.clearTimeout(timer)),
    setInterval: setInterval ?? ((...more) => globalThis.setInterval(...more)),
    clearInterval: clearInterval ?? ((timer) => globalThis.clearInterval(timer)),
  };
}

// ----------------------------------------------------------------------------------------------------- the room

/** @typedef {'stop'|'login'|'join'|'reconnect'} CloseAction what to do after a close */

/**
 * What each close code means, and asks of a client: `stop` for good; `login` again, a refreshed token did not help;
 * `join` over HTTP first; `reconnect` by itself, after the time that the reason tells. {@link Room} does all of it.
 *
 * @type {Readonly<Record<number, Readonly<{meaning: string, action: CloseAction}>>>}
 */
export const CLOSE = Object.freeze({
  1000: { meaning: 'You have left', action: 'stop' },
  1006: { meaning: 'The connection was lost', action: 'reconnect' },
  1009: { meaning: 'A message was too large', action: 'reconnect' },
  1011: { meaning: 'A fault of the server', action: 'reconnect' },
  1012: { meaning: 'The server restarts', action: 'reconnect' },
  1013: { meaning: 'There is no room on the server right now', action: 'reconnect' },
  4001: { meaning: 'You have to log in', action: 'login' },
  4002: { meaning: 'There is no such room', action: 'stop' },
  4003: { meaning: 'You have to join the room first', action: 'join' },
  4004: { meaning: 'The room has expired', action: 'stop' },
  4005: { meaning: 'The room was closed', action: 'stop' },
  4010: { meaning: 'You are banned from this room', action: 'stop' },
  4011: { meaning: 'You were removed from this room, or have logged out', action: 'stop' },
  4100: { meaning: 'The connection was too slow', action: 'reconnect' },
  4101: { meaning: 'The server lost its place', action: 'reconnect' },
  4102: { meaning: 'The server heard nothing', action: 'reconnect' },
  4104: { meaning: 'Too much was sent', action: 'reconnect' },
  4105: { meaning: 'Too many connections', action: 'reconnect' },
});

/**
 * What a close asks of a client; the range decides about codes that are not known here.
 *
 * @param {number} code
 * @returns {CloseAction}
 */
export function closeAction(code) {
  return CLOSE[code]?.action ?? (code >= 4000 && code < 4100 ? 'stop' : 'reconnect');
}

/** So many messages are kept. */
const MESSAGES_KEPT = 1_000;
/** So many of one's own may be on their way. */
const PENDING_MOST = 32;
/** A message that could not be sent for so long is given up. */
const PENDING_MS = 120_000;
/** After a reconnect so many go at once, and then one at a time: the server allows five in three seconds. */
const RESENT_AT_ONCE = 3;
const RESENT_EVERY_MS = 1_000;
const MESSAGE_LENGTH = 500;
const PEOPLE_MOST = 1_000;

const BACKOFF_FIRST_MS = 500;
const BACKOFF_MOST_MS = 30_000;
/** A server does not tell anybody to come back later than this. */
const HINT_MOST_MS = 600_000;
/** A connection that held for so long makes earlier failures forgotten. */
const STEADY_MS = 10_000;
/** For so long a connection may take until the room is there. A server in a storm lets people in by turns. */
const JOIN_MS = 20_000;

const AFTER_ERROR_MS = 1_000;

const PING_FAST_MS = 100;
const PING_HUNGRY_MS = 1_000;
const PING_MS = 3_000;
/** A server that says nothing for so long after a PING is asked once more, and then given up. */
const SILENCE_MS = 10_000;
const LAST_WORD_MS = 5_000;
/** Two clocks of one machine that part by more than this: it slept, or one of them was set. */
const PARTED_MS = 1_000;
/** No film is told to begin later than this. */
const AHEAD_MOST_MS = 2_000;
/** After a pause this long the clock is measured anew. */
const PAUSE_MS = 30_000;

/** Why something was not done: `code` is one of the server's, or `CLOSED`, `TIMEOUT`, `INVALID`, `TRY_AGAIN`. */
export class RoomError extends Error {
  name = 'RoomError';

  /**
   * @param {string} code
   * @param {string} message a sentence for people
   * @param {number|null} [retryInMs] when the same may work
   */
  constructor(code, message, retryInMs = null) {
    super(message);
    this.code = code;
    /** @type {number|null} */
    this.retryInMs = retryInMs;
  }
}

/**
 * What the server sends; `type` says what it is.
 *
 * @typedef {Record<string, any>} Frame
 */

/**
 * Whose player can't go on.
 *
 * @typedef {object} Readiness
 * @property {'soft'|'strict'} mode
 * @property {{user: string, user_id: string, position: number|null}[]} waiting at most twenty of them
 * @property {number} count all of them
 * @property {boolean} held whether the film waits for them
 * @property {number|null} hold_until room time at which it waits no longer
 */

/**
 * A message of one's own that did not come back yet.
 *
 * @typedef {object} Draft
 * @property {string} message
 * @property {(stored: any) => void} resolve
 * @property {(error: RoomError) => void} reject
 * @property {Timer} timer
 * @property {boolean} isSent
 */

/**
 * @typedef {object} Message
 * @property {number} seq counts from 1, without holes
 * @property {string} user
 * @property {string} user_id
 * @property {string} message
 * @property {string} created_at
 * @property {string} [client_id]
 * @property {boolean} [erased] a tombstone: it was taken back, and `message` is empty
 */

/**
 * @typedef {object} Member
 * @property {string} id
 * @property {string} name
 * @property {'HOST'|'COHOST'|'VIEWER'} role
 */

/**
 * A place in a room. It outlives connections: when one ends it comes back as the server asked, and resumes without a
 * gap or a repetition. Made by {@link StreamIt#room}.
 *
 * It tells what happens as events; `detail` is the server's frame unless said otherwise:
 *
 * | event | when |
 * |---|---|
 * | `status` | {@link Room#status} changed; `{status, closeCode, closeReason, retryAt}` |
 * | `participants` | there is a new list of who is here |
 * | `joined`, `left` | somebody came or went |
 * | `history` | messages came at once: added when `resumed`, else they replace all there were |
 * | `message` | somebody said something |
 * | `erased` | a message was taken back: in {@link Room#messages} a tombstone stands in its place, `erased` and without its text; `{seq}` |
 * | `playback` | the film stands, runs or jumps |
 * | `readiness` | who can't go on |
 * | `host` | somebody else is host |
 * | `hostaway`, `hostback` | the host went, or is back |
 * | `request` | somebody asks the host to be let in |
 * | `updated` | settings, or how many are online |
 * | `source` | something else is watched |
 * | `refused` | the server did not do what was asked |
 * | `closed` | it is over; `{code, reason, meaning, action}` |
 */
export class Room extends EventTarget {
  /** The code of the room. @readonly */
  code;
  /** The room's time. @type {RoomClock} @readonly */
  clock;
  /** @type {'idle'|'connecting'|'open'|'waiting'|'closed'} */
  status = 'idle';
  /** Why the last connection ended; null before any did. @type {number|null} */
  closeCode = null;
  /** The server's word for it, as `KICKED` or `SESSION_REVOKED`, which share a code; empty when there was none. */
  closeReason = '';
  /** When the next try is due while `waiting`, on the monotonic clock (`performance.now()`). @type {number|null} */
  retryAt = null;

  /** Oneself in this room; null before the first join. @type {Member|null} */
  you = null;
  /** The host's name. @type {string|null} */
  host = null;
  /** @type {string|null} */
  hostId = null;
  isHostOnline = false;
  /** Who is here, in the order they came; at most 500 are told. @type {Member[]} */
  members = [];
  /** How many are here. */
  online = 0;
  /** What was said, in order: the latest thousand. @type {Message[]} */
  messages = [];
  /** The life of the room that `messages` and `playback` belong to. @type {number|null} */
  epoch = null;
  /** Where the film stands. @type {(PlaybackState & {epoch: number|null})|null} */
  playback = null;
  /** Who can't go on, as the server told last. @type {Readiness|null} */
  readiness = null;
  /** When films are corrected. @type {Thresholds} */
  drift = THRESHOLDS;
  /** The settings that were told. @type {Record<string, unknown>} */
  settings = {};
  /** What is watched. @type {{url: string|null, title: string|null, video_provider: string|null, video_id: string|null}|null} */
  source = null;
  /** The server that one is connected to. @type {string|null} */
  node = null;

  #token;
  #wsBase;
  #WebSocket;
  #now;
  #wall;
  #random;
  #timers;
  #page;

  /** @type {WebSocket|null} */
  #socket = null;
  /** Grows with each try: what comes of an earlier one is not listened to. */
  #turn = 0;
  #failures = 0;
  #openedAt = NaN;
  /** A token that the server did not take. @type {string|null} */
  #refused = null;
  #notBefore = -Infinity;
  /** @type {Timer} */
  #retry;
  /** @type {Timer} */
  #deadline;
  #last = 0;
  #welcome = new Set();

  /** Own messages that did not come back yet, by their `client_id`, in order. @type {Map<string, Draft>} */
  #pending = new Map();
  /** @type {Timer} */
  #resend;
  #tag;
  #said = 0;
  /** When one's last message was said, as far as slow mode is concerned. */
  #saidAt = -Infinity;
  /** What was told last of one's own player. @type {['READY'|'BUFFERING', number|undefined]|null} */
  #report = null;

  /** @type {Timer} */
  #pinging;
  #fastPings = 0;
  #askedAt = NaN;
  #isDoubted = false;
  #tickedAt = NaN;
  #wallTickedAt = NaN;

  /**
   * @param {string} code
   * @param {object} options
   * @param {(refused?: string) => Promise<string>} options.token gives an access token, another one than `refused`
   * @param {string} options.wsBase where the WebSockets are, as `wss://example.org`
   * @param {typeof globalThis.WebSocket} [options.WebSocket]
   * @param {() => number} [options.now] a monotonic clock, in milliseconds
   * @param {() => number} [options.wall] the machine's clock; only to notice that it slept
   * @param {() => number} [options.random] from 0 to 1
   * @param {EventTarget|null} [options.page] tells `online`, `offline`, `pageshow` and `visibilitychange`
   * @param {typeof globalThis.setTimeout} [options.setTimeout]
   * @param {typeof globalThis.clearTimeout} [options.clearTimeout]
   */
  constructor(code, {
    token, wsBase, WebSocket = globalThis.WebSocket, now = () => performance.now(), wall = () => Date.now(),
    random = Math.random, page = globalThis.window ?? null, ...timers
  }) {
    super();
    this.code = String(code);
    this.#token = token;
    this.#wsBase = String(wsBase).replace(/\/+$/, '');
    this.#WebSocket = WebSocket;
    this.#now = now;
    this.#wall = wall;
    this.#random = random;
    this.#page = /** @type {(EventTarget & {document?: Document})|null} */ (page);
    this.#timers = timersOf(timers);
    this.clock = new RoomClock({ now });
    this.#tag = Math.floor(random() * 36 ** 8).toString(36) + Math.floor(random() * 36 ** 8).toString(36);
  }

  /** Whether one may play, pause and seek. */
  get mayControl() {
    return this.you !== null && (this.you.id === this.hostId || this.you.role === 'COHOST');
  }

  /**
   * Where the room is in slow mode: until when one's next message would be refused (`SLOW_MODE`), on the monotonic clock
   * (`performance.now()`). Null when one may say something now. What was said before this page knew of it is learnt from
   * the first refusal. Host and co-hosts never wait.
   *
   * @returns {number|null}
   */
  get slowUntil() {
    const until = this.#saidAt + this.#slowMs;
    return this.#slowMs > 0 && !this.mayControl && until > this.#now() ? until : null;
  }

  get #slowMs() {
    return Number(this.settings.slow_mode_seconds ?? 0) * 1000;
  }

  /** Connects, and stays connected until {@link Room#close} or until the server says that it is over. */
  connect() {
    if (this.status !== 'idle' && this.status !== 'closed') return;
    // It would fail again and again, and nobody would know why.
    if (typeof this.#WebSocket !== 'function') throw new TypeError('There is no WebSocket here: hand one in');
    this.#failures = 0;
    this.#refused = null;
    this.#notBefore = -Infinity;
    for (const name of PAGE_EVENTS) this.#page?.addEventListener(name, this.#onpage);
    this.#page?.document?.addEventListener('visibilitychange', this.#onpage);
    this.#open();
  }

  /** Leaves. Everybody sees it at once; whoever comes back later connects again. */
  close() {
    if (this.status === 'closed' || this.status === 'idle') return;
    const socket = this.#drop();
    // Browsers call it an error to close what is not open yet.
    if (socket?.readyState === CONNECTING) socket.onopen = () => socket.close(1000);
    else socket?.close(1000);
    this.#end(1000);
  }

  /**
   * Says something. Sent again after a reconnect until the server has it, which keeps it once.
   *
   * @param {string} text 1 to 500 characters
   * @returns {Promise<Message>} the message as it was stored; rejected with a {@link RoomError}: `SLOW_MODE` and
   *   `RATE_LIMITED` tell in `retryInMs` how long to wait, `MUTED`, `CHAT_LOCKED`, `CHAT_DISABLED` and `WORD_BLOCKED` why
   *   it is of no use
   */
  say(text) {
    const message = String(text).trim();
    const length = [...message].length;
    if (length === 0) return Promise.reject(new RoomError('INVALID', 'Message is empty'));
    if (length > MESSAGE_LENGTH) {
      return Promise.reject(new RoomError('INVALID', `A message has at most ${MESSAGE_LENGTH} characters`));
    }
    if (this.status === 'closed') return Promise.reject(new RoomError('CLOSED', 'The room is closed'));
    if (this.#pending.size >= PENDING_MOST) {
      return Promise.reject(new RoomError('TRY_AGAIN', 'Too many messages are on their way'));
    }
    const clientId = `${this.#tag}-${(this.#said += 1)}`;
    return new Promise((resolve, reject) => {
      const giveUp = () => this.#settle(clientId, new RoomError('TIMEOUT', 'The message could not be sent'));
      const timer = this.#timers.setTimeout(giveUp, PENDING_MS);
      const draft = { message, resolve, reject, timer, isSent: false };
      this.#pending.set(clientId, draft);
      // Behind those that wait for their turn, so that one's own order is kept.
      const waits = [...this.#pending.values()].some((other) => other !== draft && !other.isSent);
      if (!waits) this.#post(clientId, draft);
    });
  }

  /** Runs the film, from `time` (seconds) or from where it stands. @param {number} [time] */
  play(time) {
    return this.send('PLAY', time === undefined ? {} : { time });
  }

  /** Stops the film, at `time` (seconds) or where it stands. @param {number} [time] */
  pause(time) {
    return this.send('PAUSE', time === undefined ? {} : { time });
  }

  /** Goes to `time` (seconds), running or not as it was. @param {number} time */
  seek(time) {
    return this.send('SEEK', { time });
  }

  /** Tells the room that this player can go on. Told again after a reconnect. @param {number} [position] seconds */
  ready(position) {
    return this.#tellReadiness('READY', position);
  }

  /** Tells the room that this player waits for data. Told again after a reconnect. @param {number} [position] seconds */
  buffering(position) {
    return this.#tellReadiness('BUFFERING', position);
  }

  /**
   * Sends a frame, if connected; it is not kept for later.
   *
   * @param {string} type
   * @param {object} [fields]
   * @returns {boolean} whether it went out
   */
  send(type, fields = {}) {
    if (this.status !== 'open') return false;
    return this.#put({ type, ...fields });
  }

  // --- connections

  async #open() {
    const turn = (this.#turn += 1);
    this.retryAt = null;
    this.#setStatus('connecting');
    let token;
    try {
      token = await this.#token(this.#refused ?? undefined);
    } catch (error) {
      if (turn !== this.#turn) return;
      // Refused is refused. Anything else, a network that is away, may pass.
      if (error instanceof ApiError && (error.status === 401 || error.status === 403)) this.#end(4001);
      else this.#waitAtLeast(error instanceof ApiError ? Math.min((error.retryAfter ?? 0) * 1000, HINT_MOST_MS) : 0);
      return;
    }
    if (turn !== this.#turn) return;
    if (this.#refused !== null && token === this.#refused) {
      this.#end(4001);
      return;
    }
    let socket;
    try {
      socket = new this.#WebSocket(this.#address(token));
    } catch {
      // What it says may hold the address, and that the token.
      this.#wait(this.#backoff());
      return;
    }
    this.#socket = socket;
    this.#welcome.clear();
    /** @type {(code: number, reason: string) => unknown} */
    const lose = (code, reason) => turn === this.#turn && this.#lost(code, reason, token);
    socket.onmessage = ({ data }) => turn === this.#turn && this.#hear(data);
    socket.onclose = ({ code, reason }) => lose(code, reason);
    socket.onerror = () => {
      // A close follows at once, as it should, but not in every environment.
      if (turn !== this.#turn) return;
      this.#timers.clearTimeout(this.#deadline);
      this.#deadline = this.#timers.setTimeout(() => lose(1006, ''), AFTER_ERROR_MS);
    };
    this.#deadline = this.#timers.setTimeout(() => {
      hangUp(socket);
      lose(1006, '');
    }, JOIN_MS);
  }

  /** @param {string} token */
  #address(token) {
    const query = new URLSearchParams({ token });
    if (this.epoch !== null) {
      query.set('since', String(this.#last));
      query.set('epoch', String(this.epoch));
    }
    return `${this.#wsBase}/ws/room/${encodeURIComponent(this.code)}/?${query}`;
  }

  /** Forgets the connection and all that belongs to it. */
  #drop() {
    const socket = this.#socket;
    this.#turn += 1;
    this.#socket = null;
    for (const timer of [this.#retry, this.#deadline, this.#pinging, this.#resend]) this.#timers.clearTimeout(timer);
    for (const draft of this.#pending.values()) draft.isSent = false;
    return socket;
  }

  /** @param {number} code @param {string} reason @param {string|null} token */
  #lost(code, reason, token) {
    this.#drop();
    this.closeCode = code;
    this.closeReason = wordOf(reason);
    if (this.#now() - this.#openedAt >= STEADY_MS) [this.#failures, this.#refused] = [0, null];
    this.#openedAt = NaN;
    const action = closeAction(code);
    if (action === 'login' && this.#refused === null) {
      // Once: a token may have ended while nobody looked.
      this.#refused = token;
      this.#open();
    } else if (action === 'reconnect') {
      const hint = hintOf(reason);
      // The first time as told: the server spread it. Should that fail, never faster than by ourselves.
      if (hint === null || this.#failures > 0) {
        this.#waitAtLeast(hint ?? 0);
      } else {
        this.#failures = 1;
        this.#notBefore = this.#now() + hint;
        this.#wait(hint);
      }
    } else {
      this.#end(code, this.closeReason);
    }
  }

  /** The pause after one more failure: doubled each time, shortened by chance, so that not all come at once. */
  #backoff() {
    const full = Math.min(BACKOFF_MOST_MS, BACKOFF_FIRST_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return full * (1 - this.#random() / 2);
  }

  /** Waits as long as it was told to, and no shorter than by itself. @param {number} told */
  #waitAtLeast(told) {
    this.#notBefore = this.#now() + told;
    this.#wait(Math.max(told, this.#backoff()));
  }

  /** @param {number} pause */
  #wait(pause) {
    this.retryAt = this.#now() + pause;
    this.#timers.clearTimeout(this.#retry);
    this.#retry = this.#timers.setTimeout(() => this.#open(), pause);
    this.#setStatus('waiting');
  }

  /** @param {number} code @param {string} [reason] */
  #end(code, reason = '') {
    this.#drop();
    this.closeCode = code;
    this.closeReason = reason;
    this.retryAt = null;
    for (const name of PAGE_EVENTS) this.#page?.removeEventListener(name, this.#onpage);
    this.#page?.document?.removeEventListener('visibilitychange', this.#onpage);
    for (const clientId of [...this.#pending.keys()]) {
      this.#settle(clientId, new RoomError('CLOSED', 'The room is closed'));
    }
    this.#setStatus('closed');
    this.#emit('closed', { code, reason, meaning: CLOSE[code]?.meaning ?? 'The room is closed', action: closeAction(code) });
  }

  /** @param {Room['status']} status */
  #setStatus(status) {
    this.status = status;
    this.#emit('status', { status, closeCode: this.closeCode, closeReason: this.closeReason, retryAt: this.retryAt });
  }

  /** The network or the page is back: look at once whether the connection lives, or try again. */
  #onpage = () => {
    if (this.#page?.document?.hidden) return;
    if (this.status === 'waiting') {
      const pause = Math.max(0, this.#notBefore - this.#now());
      if (this.#now() + pause < (this.retryAt ?? Infinity)) this.#wait(pause);
    } else if (this.status === 'open') {
      this.#tick();
    }
  };

  // --- the clock, and whether the server is still there

  #measure() {
    this.clock.renew();
    this.#fastPings = SAMPLES_WANTED;
  }

  #tick() {
    const [now, wall] = [this.#now(), this.#wall()];
    const passed = now - this.#tickedAt;
    if (passed > PAUSE_MS || Math.abs(wall - this.#wallTickedAt - passed) > PARTED_MS) this.#measure();
    [this.#tickedAt, this.#wallTickedAt] = [now, wall];
    if (this.#isSilent(now)) return;
    const hungry = this.clock.isHungry;
    this.#put({ type: 'PING', t0: now });
    if (Number.isNaN(this.#askedAt)) this.#askedAt = now;
    let pause = hungry ? PING_HUNGRY_MS : PING_MS;
    if (this.#fastPings > 0) {
      this.#fastPings -= 1;
      pause = PING_FAST_MS;
    }
    this.#timers.clearTimeout(this.#pinging);
    this.#pinging = this.#timers.setTimeout(() => this.#tick(), pause);
  }

  /**
   * Whether the server is gone. A page that was frozen hears late what came in time, so it asks twice.
   *
   * @param {number} now
   */
  #isSilent(now) {
    const silence = now - this.#askedAt;
    if (!this.#isDoubted && silence > SILENCE_MS) {
      this.#isDoubted = true;
      this.#askedAt = now;
    } else if (this.#isDoubted && silence > LAST_WORD_MS) {
      hangUp(this.#socket);
      this.#lost(1006, '', null);
      return true;
    }
    return false;
  }

  /** @param {Frame} frame @param {number} arrived */
  #onpong({ t0, t1, t2 }, arrived) {
    const wasHungry = this.clock.isHungry;
    this.clock.add(t0, t1, t2, arrived);
    // It contradicts what was known: the room's clock has jumped, or ours stood still.
    if (!wasHungry && this.clock.isHungry && this.#fastPings === 0) {
      this.#fastPings = SAMPLES_WANTED;
      this.#tick();
    }
  }

  // --- frames

  /** @param {object} frame */
  #put(frame) {
    try {
      this.#socket?.send(JSON.stringify(frame));
      return this.#socket !== null;
    } catch {
      // It is closing; its end will be told.
      return false;
    }
  }

  /** @param {string} data */
  #hear(data) {
    const arrived = this.#now();
    this.#askedAt = NaN;
    this.#isDoubted = false;
    let frame;
    try {
      frame = JSON.parse(data);
    } catch {
      return;
    }
    if (typeof frame !== 'object' || frame === null) return;
    switch (frame.type) {
      case 'PONG': return this.#onpong(frame, arrived);
      case 'ROOM_PARTICIPANTS': return this.#onparticipants(frame);
      case 'CHAT_HISTORY': return this.#onhistory(frame);
      case 'PLAYBACK_STATE': return this.#onplayback(frame);
      case 'CHAT_MESSAGE': return this.#onmessage(frame);
      case 'MESSAGE_ERASED': return this.#onerased(frame);
      case 'USER_JOINED': return this.#onjoined(frame);
      case 'USER_LEFT': return this.#onleft(frame);
      case 'HOST_CHANGED': return this.#onhost(frame);
      case 'HOST_DISCONNECTED': return this.#onhostpresence(false, 'hostaway', frame);
      case 'HOST_RECONNECTED': return this.#onhostpresence(true, 'hostback', frame);
      case 'ROOM_UPDATED': return this.#onupdated(frame);
      case 'READINESS':
        this.readiness = /** @type {any} */ (frame);
        return this.#emit('readiness', frame);
      case 'SOURCE_CHANGED': return this.#onsource(frame);
      case 'JOIN_REQUEST': return this.#emit('request', frame);
      case 'ERROR': return this.#onerror(frame);
      default: // What a later server tells; to be ignored.
    }
  }

  /** The three frames of a join have come: whatever was wrong before is over. @param {string} type */
  #welcomed(type) {
    if (this.status !== 'connecting') return;
    this.#welcome.add(type);
    if (this.#welcome.size < 3) return;
    this.#timers.clearTimeout(this.#deadline);
    const now = this.#now();
    this.#openedAt = now;
    this.#askedAt = NaN;
    this.#isDoubted = false;
    [this.#tickedAt, this.#wallTickedAt] = [now, this.#wall()];
    this.#setStatus('open');
    if (this.#socket === null) return; // a listener has left
    if (this.#report) this.#tellReadiness(...this.#report);
    this.#drain(RESENT_AT_ONCE);
    this.#measure();
    this.#tick();
  }

  /** @param {Frame} frame */
  #onparticipants(frame) {
    this.members = (Array.isArray(frame.members) ? frame.members : []).slice(0, PEOPLE_MOST);
    this.online = frame.online ?? this.members.length;
    this.host = frame.host ?? null;
    this.hostId = frame.host_id ?? null;
    this.isHostOnline = frame.is_host_online === true;
    const role = this.members.find(({ id }) => id === (frame.you?.id ?? this.you?.id))?.role;
    if (frame.you ?? this.you) this.you = { ...(frame.you ?? this.you), ...(role && { role }) };
    if (frame.node !== undefined) this.node = frame.node;
    this.#learnSettings(frame, ['is_chat_enabled', 'is_chat_locked', 'slow_mode_seconds', 'readiness', 'drift']);
    const { source } = frame;
    const isOther = source !== undefined && JSON.stringify(source) !== JSON.stringify(this.source);
    if (isOther) this.source = source;
    this.#emit('participants', frame);
    if (isOther) this.#emit('source', { type: 'SOURCE_CHANGED', ...source });
    if (frame.you) this.#forgetReadiness(); // a joiner is told what there is to tell
    this.#welcomed(frame.type);
  }

  /** @param {Frame} frame */
  #onsource(frame) {
    const { type, ...source } = frame;
    this.source = /** @type {Room['source']} */ (source);
    this.#emit('source', frame);
  }

  /** @param {Frame} frame */
  #onhistory(frame) {
    const isNew = this.epoch !== null && frame.epoch !== this.epoch;
    if (isNew) this.playback = null; // versions are compared within an epoch
    this.epoch = frame.epoch ?? null;
    const told = Array.isArray(frame.messages) ? frame.messages : [];
    if (!frame.resumed || isNew) {
      this.messages = [];
      this.#last = 0;
    }
    for (const message of told) this.#keep(message);
    // A room in which nothing was said yet is resumed at its head all the same.
    this.#last = Math.max(this.#last, frame.head ?? 0);
    this.#emit('history', frame);
    for (const message of told) this.#settleOwn(message);
    this.#welcomed(frame.type);
  }

  /** @param {Frame} frame */
  #onmessage({ type, ...frame }) {
    const message = /** @type {Message} */ (frame);
    // Who sends the same twice is answered with what is stored, which may have been shown long ago.
    if (this.#keep(message)) {
      // What was said while there was no slow mode does not count in it.
      if (message.user_id === this.you?.id && this.#slowMs > 0) this.#saidAt = this.#now();
      this.#emit('message', message);
    }
    this.#settleOwn(message);
  }

  /** @param {Message} message */
  #keep(message) {
    if (!(message.seq > this.#last)) return false;
    this.#last = message.seq;
    this.messages.push(message);
    if (this.messages.length > MESSAGES_KEPT) this.messages.splice(0, this.messages.length - MESSAGES_KEPT);
    return true;
  }

  /** @param {Frame} frame */
  #onerased(frame) {
    const at = this.messages.findIndex(({ seq }) => seq === frame.seq);
    if (at >= 0) this.messages[at] = { ...this.messages[at], message: '', erased: true };
    this.#emit('erased', frame);
  }

  /** @param {Frame} frame */
  #onplayback({ type, ...frame }) {
    const state = /** @type {PlaybackState} */ (frame);
    if (!(this.playback && Number(state.version) < Number(this.playback.version))) {
      if (state.server_time - this.clock.now() - this.clock.bound > AHEAD_MOST_MS) {
        // The room's clock was set. Until it is measured again nobody knows the time, and films simply go on.
        this.clock.reset();
        this.#measure();
        if (this.status === 'open') this.#tick();
      }
      this.playback = { ...state, epoch: this.epoch };
      this.#emit('playback', this.playback);
    }
    this.#welcomed(type);
  }

  /** @param {Frame} frame */
  #onjoined(frame) {
    const { user_id: id, user: name } = frame;
    if (!this.members.some((member) => member.id === id)) {
      const role = id === this.hostId ? 'HOST' : 'VIEWER';
      if (this.members.length < PEOPLE_MOST) this.members = [...this.members, { id, name, role }];
      this.online += 1;
    }
    if (id === this.hostId) this.isHostOnline = true;
    this.#emit('joined', frame);
  }

  /** @param {Frame} frame */
  #onleft(frame) {
    this.members = this.members.filter(({ id }) => id !== frame.user_id);
    this.online = Math.max(this.members.length, this.online - 1);
    if (frame.user_id === this.hostId) this.isHostOnline = false;
    this.#emit('left', frame);
  }

  /** @param {Frame} frame */
  #onhost(frame) {
    const former = this.hostId;
    this.host = frame.host ?? null;
    this.hostId = frame.host_id ?? null;
    /** @type {(member: Member) => Member['role']} */
    const roleOf = ({ id, role }) => (id === this.hostId ? 'HOST' : id === former ? 'VIEWER' : role);
    this.members = this.members.map((member) => ({ ...member, role: roleOf(member) }));
    if (this.you) this.you = { ...this.you, role: roleOf(this.you) };
    this.isHostOnline = this.members.some(({ id }) => id === this.hostId);
    this.#emit('host', frame);
  }

  /** @param {boolean} isOnline @param {string} event @param {Frame} frame */
  #onhostpresence(isOnline, event, frame) {
    this.isHostOnline = isOnline;
    this.#emit(event, frame);
  }

  /** @param {Frame} frame */
  #onupdated(frame) {
    const { type, online, ...settings } = frame;
    if (typeof online === 'number') this.online = online;
    this.#learnSettings(settings, Object.keys(settings));
    this.#emit('updated', frame);
  }

  /** @param {Frame} from @param {string[]} names */
  #learnSettings(from, names) {
    const before = this.settings.readiness;
    for (const name of names) {
      if (from[name] !== undefined) this.settings = { ...this.settings, [name]: from[name] };
    }
    if (from.drift) this.drift = { ...THRESHOLDS, ...from.drift };
    if (from.readiness === 'off') this.#forgetReadiness();
    if (before === 'off' && from.readiness !== before && this.#report) this.#tellReadiness(...this.#report);
  }

  /** Nobody is waited for, as far as one knows. */
  #forgetReadiness() {
    if (this.readiness === null) return;
    const { mode } = this.readiness;
    this.readiness = null;
    this.#emit('readiness', { type: 'READINESS', mode, waiting: [], count: 0, held: false, hold_until: null });
  }

  /** @param {Frame} frame */
  #onerror(frame) {
    const { code, message, client_id: clientId, retry_in_ms: retryInMs } = frame;
    // Said in another window, or before this one was opened.
    if (code === 'SLOW_MODE' && retryInMs > 0 && this.#slowMs > 0) this.#saidAt = this.#now() + retryInMs - this.#slowMs;
    if (clientId !== undefined) this.#settle(clientId, new RoomError(code, message, retryInMs ?? null));
    this.#emit('refused', frame);
  }

  // --- what is said

  /** @param {string} clientId @param {Draft} draft */
  #post(clientId, draft) {
    if (this.status !== 'open') return;
    draft.isSent = this.#put({ type: 'CHAT_MESSAGE', message: draft.message, client_id: clientId });
  }

  /** Sends what waits, `count` of it now. @param {number} count */
  #drain(count) {
    this.#timers.clearTimeout(this.#resend);
    let left = count;
    for (const [clientId, draft] of this.#pending) {
      if (draft.isSent) continue;
      if (left === 0) {
        this.#resend = this.#timers.setTimeout(() => this.#drain(1), RESENT_EVERY_MS);
        return;
      }
      left -= 1;
      this.#post(clientId, draft);
    }
  }

  /** @param {Message} message */
  #settleOwn(message) {
    if (message.client_id !== undefined && message.user_id === this.you?.id) this.#settle(message.client_id, null, message);
  }

  /** @param {string} clientId @param {RoomError|null} error @param {Message} [message] */
  #settle(clientId, error, message) {
    const draft = this.#pending.get(clientId);
    if (!draft) return;
    this.#pending.delete(clientId);
    this.#timers.clearTimeout(draft.timer);
    if (error) draft.reject(error);
    else draft.resolve(message);
  }

  /** @param {'READY'|'BUFFERING'} type @param {number} [position] */
  #tellReadiness(type, position) {
    this.#report = [type, position];
    // A server that does not speak of readiness does not know these frames.
    if ((this.settings.readiness ?? 'off') === 'off') return false;
    return this.send(type, position !== undefined && Number.isFinite(position) ? { position: Math.max(0, position) } : {});
  }

  /** @param {string} name @param {unknown} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

const CONNECTING = 0;
const PAGE_EVENTS = ['online', 'offline', 'pageshow', 'focus'];

/**
 * Ends a connection that nobody answers on; 1000 would tell the room that one has left.
 *
 * @param {WebSocket|null} socket
 */
function hangUp(socket) {
  try {
    socket?.close(3000);
  } catch {
    // It is closed already.
  }
}

/** The code that a server closes with as a word, if it does. */
const wordOf = (/** @type {string} */ reason) => (/^[A-Z_]{1,64}$/.test(reason) ? reason : '');

/** When the server wants to see us again, in milliseconds, if its reason tells. @param {string} reason */
function hintOf(reason) {
  try {
    const hint = JSON.parse(reason)?.retry_in_ms;
    return Number.isFinite(hint) && hint >= 0 ? Math.min(hint, HINT_MOST_MS) : null;
  } catch {
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------- HTTP

/** No call takes longer. */
const CALL_MS = 20_000;
/** A token that ends within this is exchanged before it is used: a connection takes a moment. */
const EXPIRY_MARGIN_MS = 60_000;
/** But not before so much of its life is over; a server may give tokens for a minute. */
const USED_MOST = 0.75;
const SESSION_KEY = 'streamit.session';

/** What a call was refused with. Two codes are not the server's: `UNREACHABLE` and `BAD_ANSWER`, with status 0. */
export class ApiError extends Error {
  name = 'ApiError';

  /**
   * @param {number} status
   * @param {{error?: string, code?: string, fields?: Record<string, string>}} [answer] what the server said
   * @param {number|null} [retryAfter] seconds after which the same may work
   */
  constructor(status, { error = 'Something went wrong', code = 'BAD_ANSWER', fields = {} } = {}, retryAfter = null) {
    super(error);
    this.status = status;
    this.code = code;
    /** Why each field of the input was refused. @type {Record<string, string>} */
    this.fields = fields;
    /** @type {number|null} */
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {string} display_name
 * @property {boolean} is_guest
 * @property {string} access_token
 * @property {number} expires_in seconds
 * @property {string} refresh_token
 * @property {number} obtained_at when, on the machine's clock
 */

/**
 * Something that was done in a room.
 *
 * @typedef {object} AuditEntry
 * @property {string} id
 * @property {string} at
 * @property {string} action as `moderation.banned`
 * @property {'GUEST'|'USER'|'STAFF'|'SYSTEM'|'UNKNOWN'} actor_kind
 * @property {{id: string, name: string|null}|null} actor who did it
 * @property {{id: string, name: string|null}|null} target to whom
 * @property {any} before how it was
 * @property {any} after how it is since
 * @property {string|null} reason
 */

/**
 * The HTTP side of a server, and who one is there.
 *
 * Without a `storage` the session ends with the page. With one (`sessionStorage`, or `localStorage` for all tabs) it is
 * found again; tabs that share a session share each new token, too.
 */
export class StreamIt {
  /** Who one is; null before logging in. @type {Session|null} */
  session = null;
  /** Called with the session whenever it changes. @type {((session: Session|null) => void)|undefined} */
  onsession;

  #base;
  #wsBase;
  #fetch;
  #storage;
  #parts;
  #now;
  #wall;
  #timers;
  #goodUntil = -Infinity;
  /** @type {Promise<void>|null} */
  #refreshing = null;
  /** @type {any} */
  #tabs = null;

  /**
   * @param {object} [options]
   * @param {string} [options.base] where the api is, as `https://example.org`; the page's own origin unless given
   * @param {string} [options.wsBase] where the WebSockets are, if elsewhere
   * @param {typeof globalThis.fetch} [options.fetch]
   * @param {Pick<Storage, 'getItem'|'setItem'|'removeItem'>|null} [options.storage] where the session is kept
   * @param {(session: Session|null) => void} [options.onsession]
   * @param {{new(name: string): {postMessage(message: unknown): void, onmessage: Function|null}}|null} [options.BroadcastChannel]
   * @param {() => number} [options.now] a monotonic clock, in milliseconds
   * @param {() => number} [options.wall] the machine's clock
   * @param {typeof globalThis.setTimeout} [options.setTimeout]
   * @param {typeof globalThis.clearTimeout} [options.clearTimeout]
   * @param {typeof globalThis.WebSocket} [options.WebSocket] for the rooms
   */
  constructor({
    base = '', wsBase, fetch = (...request) => globalThis.fetch(...request), storage = null, onsession,
    BroadcastChannel = globalThis.BroadcastChannel, ...parts
  } = {}) {
    this.#base = base.replace(/\/+$/, '');
    this.#wsBase = wsBase;
    this.#fetch = fetch;
    this.#storage = storage;
    this.#parts = parts;
    this.#now = parts.now ?? (() => performance.now());
    this.#wall = parts.wall ?? (() => Date.now());
    this.#timers = timersOf(parts);
    this.onsession = onsession;
    if (!storage) return;
    const kept = this.#stored();
    if (kept) this.#take(kept);
    if (!BroadcastChannel) return;
    // A refresh token is good once. A tab that has a copy (a duplicated tab has) must not use the old one later.
    this.#tabs = new BroadcastChannel(SESSION_KEY);
    this.#tabs.onmessage = (/** @type {MessageEvent} */ { data }) => this.#ontab(data);
    this.#tabs.unref?.(); // Node would wait for it
  }

  /** Comes in without an account. @param {string} name @returns {Promise<Session>} */
  guest(name) {
    return this.#enter('guest', { display_name: name });
  }

  /** @param {string} email @param {string} password @returns {Promise<Session>} */
  login(email, password) {
    return this.#enter('login', { email, password });
  }

  /** Makes an account, and logs in. @param {string} email @param {string} password @param {string} name @returns {Promise<Session>} */
  register(email, password, name) {
    return this.#enter('register', { email, password, display_name: name });
  }

  /** Ends the session, here and on the server, and the connections that belong to it. */
  async logout() {
    const token = this.session?.access_token;
    this.forget();
    await this.#request('POST', '/api/auth/logout/', undefined, token);
  }

  /** Forgets the session on this machine, without a word to the server. */
  forget() {
    const kept = this.#stored();
    if (kept && kept.id === this.session?.id) this.#unstore();
    this.#take(null);
  }

  /** Who the server says one is. */
  me() {
    return this.call('GET', '/api/auth/me/');
  }

  /**
   * An access token that is good for a while, and another one than `refused`.
   *
   * @param {string} [refused] a token that the server did not take
   * @returns {Promise<string>}
   */
  async token(refused) {
    const known = () => {
      if (this.session) return this.session.access_token;
      throw new ApiError(401, { error: 'Authentication required', code: 'UNAUTHENTICATED' });
    };
    const token = known();
    const isRefused = token === refused;
    if (!isRefused && this.#now() < this.#goodUntil) return token;
    try {
      await this.#refresh();
    } catch (/** @type {any} */ error) {
      // The old one may be good for a moment longer; the server will say.
      if (isRefused || !this.session || error.status === 401 || error.status === 403) throw error;
    }
    return known();
  }

  /**
   * Makes any call of the api as whoever one is.
   *
   * @param {string} method
   * @param {string} path as `/api/rooms/create/`
   * @param {object} [body]
   * @returns {Promise<any>} what the server answers; rejected with an {@link ApiError}
   */
  async call(method, path, body) {
    const token = this.session ? await this.token() : undefined;
    try {
      return await this.#request(method, path, body, token);
    } catch (/** @type {any} */ error) {
      if (!token || error.status !== 401) throw error;
      if (error.code === 'SESSION_REVOKED') {
        if (this.session?.access_token === token) this.#lose();
        throw error;
      }
      return this.#request(method, path, body, await this.token(token));
    }
  }

  /**
   * @param {{isPrivate?: boolean, entryMode?: 'PASSWORD'|'APPROVAL'}} [options]
   * @returns {Promise<{room_id: string, code: string, room_password?: string}>}
   */
  createRoom({ isPrivate = false, entryMode } = {}) {
    return this.call('POST', '/api/rooms/create/', { is_private: isPrivate, ...(entryMode && { entry_mode: entryMode }) });
  }

  /**
   * Comes into a room, or asks to be let in: then `status` is `PENDING`.
   *
   * @param {string} code
   * @param {string} [password]
   * @returns {Promise<{room_id: string, code: string, status: 'APPROVED'|'PENDING', is_host: boolean}>}
   */
  joinRoom(code, password) {
    return this.call('POST', '/api/rooms/join/', { code, ...(password && { password }) });
  }

  /** What there is to know of a room: settings, source, host. @param {string} code */
  detail(code) {
    return this.call('GET', `/api/rooms/${encodeURIComponent(code)}/`);
  }

  /** Who is in a room; the host sees who asks to come in, too. @param {string} code */
  participants(code) {
    return this.call('GET', `/api/rooms/${encodeURIComponent(code)}/participants/`);
  }

  /**
   * Does something with a room: `on(code, 'settings', {readiness: 'strict'})`, `on(code, 'source', {url})`,
   * `on(code, 'approve', {user_id})`, `on(code, 'mute', {user_id, seconds: 300})`, `on(code, 'leave')`.
   *
   * @param {string} code
   * @param {string} action the last part of the path
   * @param {object} [fields]
   */
  on(code, action, fields = {}) {
    return this.call('POST', `/api/rooms/${action}/`, { code, ...fields });
  }

  /**
   * Takes back one message, or all that somebody said: one's own, and as host or co-host those of others.
   *
   * @param {string} code
   * @param {{seq: number}|{user_id: string}} which
   * @returns {Promise<{erased: number}>} how many there were
   */
  erase(code, which) {
    return this.on(code, 'erase', which);
  }

  /**
   * Tells those who run the server of somebody, of something said, or of the room.
   *
   * @param {string} code
   * @param {object} about
   * @param {string} [about.user_id] of whom
   * @param {number} [about.seq] of which message
   * @param {'SPAM'|'ABUSE'|'HATE'|'SEXUAL'|'ILLEGAL'|'OTHER'} about.reason `OTHER` wants a note
   * @param {string} [about.note] at most 1,000 characters
   * @returns {Promise<{report_id: string}>}
   */
  report(code, about) {
    return this.on(code, 'report', about);
  }

  /**
   * Who was banned, for host and co-hosts; the first 500.
   *
   * @param {string} code
   * @returns {Promise<{id: string, display_name: string, is_guest: boolean}[]>}
   */
  bans(code) {
    return this.call('GET', `/api/rooms/${encodeURIComponent(code)}/bans/`);
  }

  /**
   * What was done in a room, for its host, the newest first.
   *
   * @param {string} code
   * @param {object} [page]
   * @param {string} [page.before] the `id` of the last entry one has
   * @param {number} [page.limit] 50 unless said otherwise, 200 at most
   * @param {string} [page.action] only of this kind, as `moderation.banned`
   * @returns {Promise<{entries: AuditEntry[], has_more: boolean}>}
   */
  audit(code, { before, limit, action } = {}) {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ before, limit, action })) {
      if (value !== undefined) query.set(name, String(value));
    }
    const behind = String(query) && `?${query}`;
    return this.call('GET', `/api/rooms/${encodeURIComponent(code)}/audit/${behind}`);
  }

  /**
   * A place in a room that one has joined; connect it.
   *
   * @param {string} code
   * @param {Partial<ConstructorParameters<typeof Room>[1]>} [options] as for {@link Room}
   * @returns {Room}
   */
  room(code, options = {}) {
    const wsBase = this.#wsBase ?? (this.#base || globalThis.location.origin).replace(/^http/, 'ws');
    return new Room(code, { ...this.#parts, wsBase, token: (refused) => this.token(refused), ...options });
  }

  /** @param {string} how @param {object} body @returns {Promise<Session>} */
  async #enter(how, body) {
    const answer = await this.#request('POST', `/api/auth/${how}/`, body);
    const session = { ...answer, obtained_at: this.#wall() };
    this.#set(session);
    return session;
  }

  /** One at a time, whoever asks. */
  #refresh() {
    this.#refreshing ??= this.#exchange().finally(() => { this.#refreshing = null; });
    return this.#refreshing;
  }

  async #exchange() {
    if (this.#adopt() && this.#now() < this.#goodUntil) return;
    const used = /** @type {Session} */ (this.session);
    try {
      const answer = await this.#request('POST', '/api/auth/refresh/', { refresh_token: used.refresh_token });
      // Who has logged out or in meanwhile is somebody else.
      if (this.session === used) this.#set({ ...used, ...answer, obtained_at: this.#wall() });
    } catch (/** @type {any} */ error) {
      if (error.status === 401 || error.status === 403) {
        // Another tab may have been quicker.
        if (this.session === used && !this.#adopt()) this.#lose();
        if (this.session?.id === used.id && this.session !== used) return;
      }
      throw error;
    }
  }

  /** Goes on with what another tab has got, if there is such. @returns {boolean} */
  #adopt() {
    const [mine, kept] = [this.session, this.#stored()];
    if (!mine || !kept || kept.id !== mine.id || kept.refresh_token === mine.refresh_token) return false;
    this.#take(kept);
    return true;
  }

  /** The session is over. What is kept may be another one, of another tab, and stays. */
  #lose() {
    if (this.#stored()?.refresh_token === this.session?.refresh_token) this.#unstore();
    this.#take(null);
  }

  /** @param {Session} session */
  #set(session) {
    const before = this.session;
    this.#take(session);
    this.#store(session);
    if (before && before.id === session.id) this.#tabs?.postMessage({ former: before.refresh_token, session });
  }

  /** @param {Session|null} session */
  #take(session) {
    this.session = session;
    this.#goodUntil = -Infinity;
    if (session) {
      // The machine's clock may have been set since; then the server refuses the token, and it is exchanged.
      const age = Math.max(0, this.#wall() - session.obtained_at);
      const life = session.expires_in * 1000;
      this.#goodUntil = this.#now() + Math.max(life - EXPIRY_MARGIN_MS, life * USED_MOST) - age;
    }
    this.onsession?.(session);
  }

  /** @param {Session} session */
  #store(session) {
    try {
      this.#storage?.setItem(SESSION_KEY, JSON.stringify(session));
    } catch {
      // A full or forbidden storage: then the session ends with the page. A token that was used must not be found there.
      this.#unstore();
    }
  }

  #unstore() {
    try {
      this.#storage?.removeItem(SESSION_KEY);
    } catch {
      // Then there is nothing in it either.
    }
  }

  #stored() {
    try {
      const kept = JSON.parse(this.#storage?.getItem(SESSION_KEY) ?? 'null');
      return kept?.access_token && kept.refresh_token ? kept : null;
    } catch {
      return null;
    }
  }

  /** @param {any} data */
  #ontab(data) {
    if (!this.session || data?.former !== this.session.refresh_token || data.session?.id !== this.session.id) return;
    this.#take(data.session);
    this.#store(data.session);
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @param {string} [token]
   * @returns {Promise<any>}
   */
  async #request(method, path, body, token) {
    const abort = new AbortController();
    const deadline = this.#timers.setTimeout(() => abort.abort(), CALL_MS);
    try {
      const answer = await this.#fetch(this.#base + path, {
        method,
        signal: abort.signal,
        headers: {
          accept: 'application/json',
          ...(body !== undefined && { 'content-type': 'application/json' }),
          ...(token && { authorization: `Bearer ${token}` }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      const told = await answer.json().catch(() => undefined);
      if (answer.ok && told !== undefined) return told;
      const after = Number(answer.headers.get('retry-after') ?? NaN);
      throw new ApiError(answer.status, told ?? {}, Number.isFinite(after) ? after : null);
    } catch (error) {
      if (error instanceof ApiError) throw error;
      throw new ApiError(0, { error: 'The server can\'t be reached', code: 'UNREACHABLE' });
    } finally {
      this.#timers.clearTimeout(deadline);
    }
  }
}
