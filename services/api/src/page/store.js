/**
 * What the page knows, in one place. What the server tells of a room is in the library's `Room`; a change of it is a
 * change here too, so that there is one way from any change to what is seen.
 *
 * @module store
 */

/**
 * @typedef {object} State
 * @property {'idle'|'welcome'|'lobby'|'waiting'|'room'|'gone'} view
 * @property {string|null} code of the room that the address names
 * @property {object|null} session who this tab is
 * @property {import('/streamit.js').Room|null} room
 * @property {import('/streamit.js').DriftController|null} drift
 * @property {object|null} gone why there is no room any more: see `gone.js`
 * @property {{id: string, name: string}[]} requests who asks to come in
 * @property {Map<string, number>} muted who may not chat, and until when on the page's clock, as far as it is known here
 * @property {number|null} hostAwayUntil when the grace of an absent host ends, on the page's clock; NaN when it is over
 * @property {{text: string, until: number}|null} news what is told for a few seconds
 * @property {string|null} filmError why the film can't be played here
 * @property {boolean} isPicking whether the host is choosing a film
 */

/** The page's clock: milliseconds that only grow. */
export const now = () => performance.now();

export class Store {
  /** @type {State} */
  state;
  #watchers = new Set();
  #isDue = false;

  constructor(initial) {
    this.state = initial;
  }

  /** Changes what is named, and has everything drawn again that cares, once, after the present work is done. */
  set(changes = {}) {
    Object.assign(this.state, changes);
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      for (const draw of [...this.#watchers]) draw(this.state);
    });
  }

  /** Calls `draw` after each change, and now. Returns how to stop. */
  watch(draw) {
    this.#watchers.add(draw);
    draw(this.state);
    return () => this.#watchers.delete(draw);
  }
}
