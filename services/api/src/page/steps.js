/**
 * What takes more than one try: going through a film step by step, and loading one that was not there.
 *
 * @module steps
 */

/** How often the room is told where a row of steps leads, and for how long one step goes on from the last one. */
const TELL_MS = 200;
const ROW_MS = 1_000;
/** A film that could not be loaded is tried again after so long; the last pause is that of all later tries. */
const RETRY_MS = [5_000, 10_000, 20_000, 30_000];
/** The codes of a MediaError after which that may help. */
const LOST = 2;
const NEVER_THERE = 4;

/**
 * Steps to and fro in the film. The film follows a moment later, so a step goes on from where the last one leads; and
 * whoever holds the key down is not heard thirty times a second.
 */
export class Steps {
  #tell;
  #parts;
  #aim = 0;
  #aimedAt = -Infinity;
  #toldAt = -Infinity;
  #timer;

  /**
   * @param {(to: number) => void} tell where to go, in seconds
   * @param {{now(): number, setTimeout: Function, clearTimeout: Function}} parts
   */
  constructor(tell, parts) {
    this.#tell = tell;
    this.#parts = parts;
  }

  /** Goes `by` seconds from `at`, where the film is; not beyond `end`. */
  go(by, at, end) {
    const time = this.#parts.now();
    const from = time - this.#aimedAt < ROW_MS ? this.#aim : at;
    this.#aim = Math.min(Math.max(0, from + by), end);
    this.#aimedAt = time;
    if (this.#timer !== undefined) return;
    const wait = this.#toldAt + TELL_MS - time;
    if (wait <= 0) this.#say();
    else this.#timer = this.#parts.setTimeout(() => this.#say(), wait);
  }

  stop() {
    this.#parts.clearTimeout(this.#timer);
  }

  #say() {
    this.#timer = undefined;
    this.#toldAt = this.#parts.now();
    this.#tell(this.#aim);
  }
}

/** In how many milliseconds a film is tried again that failed with `code`, after so many tries; null: not at all. */
export function retryIn(code, tries) {
  if (code !== LOST && (code !== NEVER_THERE || tries >= RETRY_MS.length)) return null;
  return RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
}
