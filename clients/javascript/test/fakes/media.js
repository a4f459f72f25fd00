/** A media element that behaves as the standard says, in the time of a test. */
export class Media extends EventTarget {
  paused = true;
  seeking = false;
  ended = false;
  muted = false;
  error = null;
  readyState = 0;
  networkState = 2;
  preload = 'auto';
  preservesPitch = false;
  duration = NaN;
  seekable = { length: 0 };

  /** What the controller did, in order. */
  calls = [];
  /** Set: a browser that wants a click, also for films without sound. */
  refuses = false;
  refusesMuted = false;
  startDelay = 0;
  seekDelay = 40;
  canChangeRate = true;
  /** How fast its own clock runs. */
  speed = 1;

  #time;
  #at = 0;
  #since = 0;
  #isMoving = false;
  #rate = 1;
  #turn = 0;
  /** Seeks by number: only another one, or another film, ends one. */
  #seeks = 0;
  #isStalled = false;

  constructor(time) {
    super();
    this.#time = time;
  }

  /** The film is there. */
  load({ duration = 7200, readyState = 4 } = {}) {
    Object.assign(this, { duration, readyState, networkState: 1 });
    for (const name of ['loadedmetadata', 'canplay']) this.#tell(name);
    this.#begin();
  }

  /** Another film is to come. */
  empty() {
    this.#halt();
    this.#seeks += 1;
    Object.assign(this, { duration: NaN, readyState: 0, networkState: 2, paused: true, ended: false, seeking: false });
    this.#at = 0;
    this.#tell('emptied');
  }

  get currentTime() {
    if (!this.#isMoving) return this.#at;
    const now = this.#at + (this.#time.now() - this.#since) / 1000 * this.#rate * this.speed;
    return now < this.duration ? now : this.duration;
  }

  set currentTime(to) {
    this.calls.push(['seek', to]);
    this.place(to);
  }

  /** A person uses the handle. */
  place(to) {
    this.#halt();
    this.#at = Math.max(0, to < this.duration ? to : this.duration);
    Object.assign(this, { seeking: true, ended: false, readyState: Math.min(this.readyState, 1) });
    this.#tell('seeking');
    const seek = (this.#seeks += 1);
    this.#time.setTimeout(() => {
      if (seek !== this.#seeks || !this.seeking) return;
      this.seeking = false;
      this.ended = this.#at >= this.duration;
      this.readyState = this.#isStalled ? 2 : 4;
      this.#tell('seeked');
      if (this.#isStalled) return;
      this.#tell('canplay');
      this.#begin();
    }, this.seekDelay);
  }

  get playbackRate() {
    return this.#rate;
  }

  set playbackRate(rate) {
    if (!this.canChangeRate || rate === this.#rate) return;
    this.calls.push(['rate', rate]);
    this.#anchor();
    this.#rate = rate;
    this.#tell('ratechange');
  }

  play() {
    this.calls.push(['play']);
    if (this.refuses && (!this.muted || this.refusesMuted)) {
      return Promise.reject(Object.assign(new Error('a click is wanted'), { name: 'NotAllowedError' }));
    }
    this.press();
    return Promise.resolve();
  }

  /** A person presses play. */
  press() {
    if (this.ended) this.place(0);
    if (!this.paused) return;
    this.paused = false;
    this.#tell('play');
    this.#begin();
  }

  pause() {
    this.calls.push(['pause']);
    this.release();
  }

  /** A person presses pause. */
  release() {
    if (this.paused) return;
    this.paused = true;
    this.#halt();
    this.#tell('pause');
  }

  /** No data any more, until `flow`. */
  stall() {
    this.#halt();
    this.#isStalled = true;
    this.readyState = 2;
    this.#tell('waiting');
  }

  flow() {
    this.#isStalled = false;
    if (this.seeking) return;
    this.readyState = 4;
    this.#tell('canplay');
    this.#begin();
  }

  /** Which of its calls were `name`. */
  of(name) {
    return this.calls.filter(([call]) => call === name);
  }

  #begin() {
    if (this.paused || this.seeking || this.readyState < 3 || this.#isMoving) return;
    const turn = (this.#turn += 1);
    this.#time.setTimeout(() => {
      if (turn !== this.#turn || this.paused || this.seeking || this.readyState < 3) return;
      this.#since = this.#time.now();
      this.#isMoving = true;
      this.#tell('playing');
      this.#awaitEnd(turn);
    }, this.startDelay);
  }

  #awaitEnd(turn) {
    if (turn !== this.#turn || !this.#isMoving) return;
    if (this.currentTime < this.duration) {
      this.#time.setTimeout(() => this.#awaitEnd(turn), 10);
      return;
    }
    this.#halt();
    Object.assign(this, { paused: true, ended: true, readyState: 2 });
    this.#tell('pause');
    this.#tell('ended');
  }

  #halt() {
    this.#anchor();
    this.#isMoving = false;
    this.#turn += 1;
  }

  #anchor() {
    this.#at = this.currentTime;
    this.#since = this.#time.now();
  }

  #tell(name) {
    this.#time.setTimeout(() => this.dispatchEvent(new Event(name)), 0);
  }
}
