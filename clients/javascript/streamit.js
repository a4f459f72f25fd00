/**
 * Watch together: the client of a StreamIt server, for browsers, in one module without dependencies.
 *
 * ```js
 * const api = new StreamIt();
 * await api.guest('Ana');
 * await api.joinRoom('AB12CD');
 * const room = api.room('AB12CD');
 * const film = new DriftController(document.querySelector('video'), {
 *   clock: room.clock, mayControl: () => room.mayControl, oncommand: (what, time) => room[what](time),
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

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---------------------------------------------------------------------------------------------------- the clock

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
  /** Intervals `[low, high]` of room time minus our time, as measured, the oldest first. */
  #samples = [];
  /** What was measured before {@link RoomClock#renew}; it counts until there is enough that is new. */
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

  /** Drops what is too old; one is always kept, and its bound grows. */
  #forget(now) {
    const fresh = (sample) => now - sample.t3 <= this.#maxAge;
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

  /** What all of `samples` allow at `now`; undefined when they contradict each other. */
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
/** When a start is measured: players need a moment to run steadily. */
const SETTLED_MS = 300;
/** How much of a new reading goes into the estimate of the drift; the rest is what was expected. */
const GAIN = 0.35;

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

  /** @type {PlaybackState|null} */
  #playback = null;
  /** @type {DriftState} */
  #state = 'idle';
  #drift = NaN;
  #interval;
  #alarm;
  #dragging;
  #isStopped = false;
  #steppedAt = NaN;

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
  /** The viewer has paused for himself. */
  #isAside = false;
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
   * @param {{now(): number, isReady: boolean}} options.clock tells the room's time, as a {@link RoomClock} does
   * @param {Thresholds|(() => Thresholds)} [options.thresholds] as the server tells them
   * @param {boolean|(() => boolean)} [options.mayControl] whether this person is host or co-host
   * @param {(what: 'play'|'pause'|'seek', time: number) => void} [options.oncommand] the host used the player's controls
   * @param {(position: number) => void} [options.onready] the player can go on
   * @param {(position: number) => void} [options.onbuffering] the player can't go on
   * @param {(state: DriftState) => void} [options.onchange]
   * @param {boolean} [options.mutedStart] start without sound where the browser refuses a start with it
   * @param {() => number} [options.now] a monotonic clock, in milliseconds
   * @param {typeof globalThis.setTimeout} [options.setTimeout]
   * @param {typeof globalThis.clearTimeout} [options.clearTimeout]
   * @param {typeof globalThis.setInterval} [options.setInterval]
   * @param {typeof globalThis.clearInterval} [options.clearInterval]
   * @param {Document|EventTarget|null} [options.document] tells whether the page is seen
   */
  constructor(media, {
    clock, thresholds = THRESHOLDS, mayControl = false, oncommand, onready, onbuffering, onchange, mutedStart = false,
    now = () => performance.now(), document = globalThis.document ?? null, ...timers
  }) {
    this.#media = media;
    this.#clock = clock;
    this.thresholds = thresholds;
    this.#mayControl = typeof mayControl === 'function' ? mayControl : () => mayControl;
    this.#tell = { command: oncommand, ready: onready, buffering: onbuffering };
    this.onchange = onchange;
    this.#mutedStart = mutedStart;
    this.#now = now;
    this.#document = document;
    this.#timers = timersOf(timers);
    for (const [name, listener] of this.#listeners) media.addEventListener(name, listener);
    document?.addEventListener('visibilitychange', this.#onvisible);
    this.#keptPitch = media.preservesPitch;
    if ('preservesPitch' in media) media.preservesPitch = true;
    if ('preload' in media && media.preload !== 'auto') media.preload = 'auto';
    this.#interval = this.#timers.setInterval(() => this.step(), STEP_MS);
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
   * From now on the film stands as `playback` says. An older version than the last one is ignored.
   *
   * @param {PlaybackState|null} playback
   */
  follow(playback) {
    if (this.#isStopped) return;
    const before = this.#playback;
    if (before && playback && playback.version < before.version) return;
    this.#playback = playback;
    if (!playback) {
      this.#isPoised = false;
    } else if (!before || before.version !== playback.version || playback.version === undefined) {
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
    if (this.#keptPitch !== undefined) this.#media.preservesPitch = this.#keptPitch;
    this.#drift = NaN;
    this.#state = 'idle';
  }

  /** One look. @returns {DriftState} */
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
    // A clock that has to be measured anew is no reason to stop a film that runs.
    if (Number.isNaN(position)) return this.#wants ? 'playing' : 'waiting';
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

  /** Goes to where the film will be once the player is there, and has it wait for that moment. */
  #jump(now, room) {
    const playback = this.#playback;
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

  /** Waits for the moment at which the film is where the player stands. */
  #poise(now, room) {
    const playback = this.#playback;
    this.#isPoised = true;
    this.#pause();
    this.#setRate(1);
    if (!this.#canGoOn(now)) return 'buffering';
    const lead = (this.#media.currentTime - playback.time) / (playback.rate ?? 1) * 1000;
    const moment = playback.server_time + Math.max(0, lead);
    const left = moment - this.#playCost - room;
    if (left > 1) {
      if (left > 2 * this.#seekCost + 2_000 && moment > playback.server_time && this.#allowsJump(now)) {
        return this.#jump(now, room);
      }
      this.#alarm = this.#timers.setTimeout(() => this.step(), left);
      return 'waiting';
    }
    if (-left / 1000 > START_BEHIND_S && this.#allowsJump(now)) return this.#jump(now, room);
    return this.#launch(now, -left);
  }

  /** The film runs and the player does not. */
  #start(now, room) {
    const behind = -this.#drift;
    if (behind <= 0 && (-behind < NUDGE_S || !this.#allowsJump(now))) return this.#poise(now, room);
    if ((behind > START_BEHIND_S || behind < 0) && this.#allowsJump(now)) return this.#jump(now, room);
    return this.#canGoOn(now) ? this.#launch(now, Infinity) : 'buffering';
  }

  #launch(now, late) {
    this.#isPoised = false;
    this.#started = this.#playback.server_time;
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

  /** Plays what has no position that could be compared: a live stream. */
  #run(now) {
    this.#isPoised = false;
    this.#setRate(1);
    if (!this.#wants) this.#launch(now, Infinity);
    return this.#media.readyState < HAVE_FUTURE_DATA ? 'buffering' : 'playing';
  }

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
    if (apart > far || (!this.#canChangeRate && apart > Math.max(enter, START_BEHIND_S * 1000))) {
      if (this.#allowsJump(now)) return this.#jump(now, room);
    }
    this.#mayJump = false;
    if (this.#isSettling) this.#learnStart(off);
    this.#doubts = apart > enter ? this.#doubts + 1 : 0;
    // The middle between right and the leaving threshold: two viewers who left at its two ends would be twice apart.
    if (this.#isCorrecting) this.#isCorrecting = apart > leave / 2;
    else this.#isCorrecting = this.#doubts >= DOUBTS || (this.#isSettling || since > FROZEN_MS / 2) && apart > leave / 2;
    this.#isSettling = false;
    // Whoever looks rarely, as a hidden page does, corrects gently, so as not to be past it at the next look.
    const horizon = Math.max(HORIZON_S, 2 * since / 1000);
    this.#setRate(this.#isCorrecting ? 1 + clamp(-off / horizon, -MAX_RATE_CHANGE, MAX_RATE_CHANGE) : 1);
    return this.#isCorrecting && this.#canChangeRate ? 'correcting' : 'playing';
  }

  /** The drift without the noise of single readings. */
  #estimate(since) {
    const expected = this.#smooth + (this.#rate - 1) * since / 1000;
    const surprise = this.#drift - expected;
    // A step is no noise.
    if (Number.isNaN(surprise) || Math.abs(surprise) > START_BEHIND_S) this.#smooth = this.#drift;
    else this.#smooth = expected + GAIN * surprise;
    return this.#smooth;
  }

  #learnStart(off) {
    if (this.#wasOnTime && Math.abs(off) < 0.5) {
      // The first start tells nearly all there is to know of a machine, those after it even out the noise.
      const weight = Math.max(0.25, 1 / (this.#starts + 1.2));
      this.#starts += 1;
      this.#playCost = clamp(this.#playCost - off * 1000 * weight, 0, 300);
    }
    this.#wasOnTime = false;
  }

  #learnSeek(now) {
    if (Number.isNaN(this.#seekingSince)) return;
    const took = now - this.#seekingSince;
    this.#seekingSince = NaN;
    // Too early costs a moment of standing, too late seconds of correction: rather what a slow seek takes here than
    // what the last one took.
    this.#seekCost = clamp(Math.max(took * 1.1, this.#seekCost * 0.95), 50, 3_000);
  }

  // --- what the player can do

  get #limits() {
    const told = typeof this.thresholds === 'function' ? this.thresholds() : this.thresholds;
    return { ...THRESHOLDS, ...told };
  }

  get #end() {
    const { duration } = this.#media;
    return Number.isFinite(duration) && duration > 0 ? duration : Infinity;
  }

  #isOver(position) {
    return position >= this.#end || (this.#media.ended && position >= this.#end - NUDGE_S);
  }

  #near(position) {
    return Math.abs(this.#media.currentTime - position) <= NEAR_S;
  }

  /** A live stream has no end, and only what it says can be reached. */
  #canReach(position) {
    const { duration, seekable } = this.#media;
    if (duration !== Infinity) return true;
    for (let i = 0; i < (seekable?.length ?? 0); i += 1) {
      if (seekable.start(i) - NUDGE_S <= position && position <= seekable.end(i) + NUDGE_S) return true;
    }
    return false;
  }

  #canGoOn(now) {
    const media = this.#media;
    return media.readyState >= HAVE_FUTURE_DATA || now - this.#stuckSince > LOAD_PATIENCE_MS && !media.seeking;
  }

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

  #seek(position) {
    this.#goal = position;
    this.#seekingSince = this.#now();
    this.#smooth = NaN;
    this.#media.currentTime = position;
  }

  #setRate(change) {
    const wanted = (this.#playback?.rate ?? 1) * (Math.round(change * 200) / 200);
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
    if (this.#document.hidden) return;
    this.#isAsleep = false;
    this.step();
  };

  #listeners = [
    ...['loadedmetadata', 'durationchange', 'canplay', 'playing', 'waiting', 'ended', 'error', 'ratechange']
      .map((name) => [name, () => this.step()]),
    ['emptied', () => this.#onemptied()],
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
    // A browser that saves power pauses what nobody sees: the host's room goes on.
    if (this.#document?.hidden) this.#isAsleep = true;
    else if (this.#mayControl()) this.#command('pause', media.currentTime);
    else this.#isAside = true;
    this.step();
  }

  #onseeking() {
    const media = this.#media;
    if (!this.#playback || Math.abs(media.currentTime - this.#goal) < 0.3) return;
    const position = Math.min(positionAt(this.#playback, this.#clock.now()), this.#end);
    const far = this.#playback.is_playing ? NUDGE_S : STILL_S;
    if (Math.abs(media.currentTime - position) < far) return;
    this.#goal = NaN;
    if (!this.#mayControl()) {
      this.#isPlaced = false;
      return;
    }
    this.#asked = this.#now() + ANSWER_MS;
    this.#isPoised = false;
    this.#timers.clearTimeout(this.#dragging);
    this.#dragging = this.#timers.setTimeout(() => this.#command('seek', media.currentTime), DRAG_MS);
  }

  #onseeked() {
    if (!this.#media.seeking) this.#goal = NaN;
    this.step();
  }

  get #isOverNow() {
    return this.#isOver(positionAt(this.#playback, this.#clock.now()));
  }

  #command(what, time) {
    this.#asked = this.#now() + ANSWER_MS;
    this.#tell.command?.(what, time);
  }

  /** Tells when the player can't go on, and when it can again. */
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

  #say(what) {
    if (this.#told === what) return;
    this.#told = what;
    this.#tell[what]?.(this.#media.currentTime);
  }
}

const ignore = (promise) => void promise?.catch?.(() => {});

/** The browser's timers, or those that were handed in. They are called without a `this`, as browsers want it. */
function timersOf({ setTimeout, clearTimeout, setInterval, clearInterval }) {
  return {
    setTimeout: setTimeout ?? ((act, delay) => globalThis.setTimeout(act, delay)),
    clearTimeout: clearTimeout ?? ((id) => globalThis.clearTimeout(id)),
    setInterval: setInterval ?? ((act, delay) => globalThis.setInterval(act, delay)),
    clearInterval: clearInterval ?? ((id) => globalThis.clearInterval(id)),
  };
}
