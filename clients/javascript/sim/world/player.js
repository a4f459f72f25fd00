/**
 * A fake HTMLMediaElement that is as unhelpful as real ones: it starts late, seeks slowly, runs a little fast or slow,
 * tells its position in steps, and may refuse to play.
 */
export class Player extends EventTarget {
  // What the standard calls them; the controller reads these.
  paused = true;
  seeking = false;
  ended = false;
  readyState = 0;
  networkState = 1;
  muted = false;
  error = null;
  duration;
  defaultPlaybackRate = 1;
  preservesPitch = true;

  /** What happened, for the measuring, in true time. */
  starts = [];
  seeks = [];
  slowest = 1;
  fastest = 1;
  /** How often the film left its normal speed. */
  corrections = 0;

  #world;
  #random;
  #nature;
  #rate = 1;
  /** Where the film was at the true time `#since`, and whether it moves. */
  #position = 0;
  #since = 0;
  #isMoving = false;
  #isStalled = false;
  #refuses = false;
  #waitingPlays = [];
  #start = null;
  #seek = null;
  #told = 0;

  /**
   * @param {object} nature
   * @param {number} [nature.error] how much faster its clock is, in millionths
   * @param {number|number[]} [nature.startDelay] what this device needs from play() to the first frame, ms; or the least
   *   and the most of it, if that changes from one start to the next
   * @param {number} [nature.startSpread] what chance adds to it, ms in the mean
   * @param {number[]} [nature.seekDelay] least and most, ms
   * @param {number} [nature.step] the position is told in steps of so many ms
   * @param {number} [nature.noise] and off by up to so many
   * @param {number} [nature.duration] seconds
   */
  constructor(world, nature = {}) {
    super();
    this.#world = world;
    this.#random = world.random.fork();
    this.#nature = {
      error: 0, startDelay: 40, startSpread: 6, seekDelay: [50, 400], step: 10, noise: 2,
      duration: 7200, ...nature,
    };
    this.duration = this.#nature.duration;
    this.#watchEnd();
  }

  /** Where the film truly is, in seconds. */
  get truth() {
    if (!this.#isMoving) return this.#position;
    const speed = this.#rate * (1 + this.#nature.error / 1e6);
    return this.#position + ((this.#world.time - this.#since) * speed) / 1000;
  }

  /** In steps of how many ms it tells its position. */
  get step() {
    return this.#nature.step;
  }

  get isMoving() {
    return this.#isMoving;
  }

  get currentTime() {
    if (!this.#isMoving) return this.#position;
    const { step, noise } = this.#nature;
    const stepped = Math.floor((this.truth * 1000) / step) * step;
    const told = (stepped + this.#random.uniform(-noise, noise)) / 1000;
    // Browsers never tell a position before the last one while the film runs.
    this.#told = Math.max(this.#told, told);
    return this.#told;
  }

  set currentTime(seconds) {
    if (!Number.isFinite(seconds)) throw new TypeError('currentTime is not finite');
    this.seeks.push({ time: this.#world.time, from: this.truth, to: seconds });
    this.#halt();
    this.#position = Math.min(Math.max(seconds, 0), this.duration);
    this.ended = false;
    this.#world.cancel(this.#seek);
    this.seeking = true;
    this.readyState = Math.min(this.readyState, 1);
    this.#tell('seeking');
    this.#seek = this.#world.after(this.#random.uniform(...this.#nature.seekDelay), () => this.#seeked());
  }

  get playbackRate() {
    return this.#rate;
  }

  set playbackRate(rate) {
    if (rate === this.#rate) return;
    this.slowest = Math.min(this.slowest, rate);
    this.fastest = Math.max(this.fastest, rate);
    if (this.#rate === 1) this.corrections += 1;
    this.#anchor();
    this.#rate = rate;
    this.#tell('ratechange');
  }

  /** The data of the film comes in. */
  load() {
    this.#world.after(this.#random.uniform(50, 400), () => {
      this.readyState = 4;
      for (const event of ['loadedmetadata', 'loadeddata', 'canplay', 'canplaythrough']) this.#tell(event);
      this.#begin();
    });
  }

  play() {
    if (this.#refuses && !this.muted) {
      this.#world.settled();
      return Promise.reject(new DOMException('play() needs a gesture', 'NotAllowedError'));
    }
    return new Promise((resolve, reject) => {
      this.#waitingPlays.push({ resolve, reject });
      if (this.ended) this.currentTime = 0;
      if (this.paused) {
        this.paused = false;
        this.#tell('play');
        if (this.readyState < 3) this.#tell('waiting');
      }
      if (this.#isMoving) this.#answerPlays();
      else this.#begin();
    });
  }

  pause() {
    if (this.paused) return;
    this.paused = true;
    this.#halt();
    for (const { reject } of this.#waitingPlays.splice(0)) {
      reject(new DOMException('play() was interrupted', 'AbortError'));
    }
    this.#world.settled();
    this.#tell('pause');
  }

  /** The browser wants a click first, unless there is no sound. */
  refuse() {
    this.#refuses = true;
  }

  /** Somebody clicks: from now on the browser lets it play. */
  allow() {
    this.#refuses = false;
  }

  /** The film is suddenly `seconds` further on, as after a hiccup of the sound card, and tells nobody. */
  slip(seconds) {
    if (!this.#isMoving) return;
    this.#anchor();
    this.#position += seconds;
    this.#told = 0;
  }

  /** No data for so long. */
  stall(duration) {
    if (this.#isStalled || this.readyState < 3) return;
    this.#isStalled = true;
    this.#halt();
    this.readyState = 2;
    if (!this.paused) this.#tell('waiting');
    this.#world.after(duration, () => {
      this.#isStalled = false;
      if (this.seeking) return;
      this.readyState = 4;
      this.#tell('canplay');
      this.#begin();
    });
  }

  #seeked() {
    this.seeking = false;
    this.#told = 0;
    this.readyState = 4;
    this.#tell('seeked');
    this.#tell('canplay');
    this.#begin();
  }

  /** Moves a little later, if nothing comes in between. */
  #begin() {
    if (this.paused || this.#isMoving || this.#start || this.seeking || this.readyState < 3) return;
    const { startDelay, startSpread } = this.#nature;
    const needs = Array.isArray(startDelay) ? this.#random.uniform(...startDelay) : startDelay;
    this.#start = this.#world.after(needs + this.#random.exponential(startSpread), () => {
      this.#start = null;
      this.#since = this.#world.time;
      this.#isMoving = true;
      this.#told = 0;
      this.starts.push({ time: this.#world.time, position: this.#position });
      this.#tell('playing');
      this.#answerPlays();
    });
  }

  #answerPlays() {
    for (const { resolve } of this.#waitingPlays.splice(0)) resolve();
    this.#world.settled();
  }

  #halt() {
    this.#world.cancel(this.#start);
    this.#start = null;
    this.#anchor();
    this.#isMoving = false;
  }

  #anchor() {
    this.#position = Math.min(this.truth, this.duration);
    this.#since = this.#world.time;
  }

  #watchEnd() {
    this.#world.every(1000, () => {
      if (!this.#isMoving || this.truth < this.duration) return;
      this.#halt();
      this.paused = true;
      this.ended = true;
      this.#tell('pause');
      this.#tell('ended');
    });
  }

  /** As in a browser an event comes after the call that caused it. */
  #tell(name) {
    this.#world.after(0, () => this.dispatchEvent(new Event(name)));
  }
}
