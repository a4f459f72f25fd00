/** Lets promises that are settled run all that waits for them. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await null;
}

/** Time that passes when a test says so. */
export class Time {
  ms = 0;
  #timers = new Map();
  #last = 0;

  now = () => this.ms;
  setTimeout = (act, delay = 0) => this.#add(act, delay, false);
  setInterval = (act, delay = 0) => this.#add(act, delay, true);
  clearTimeout = (id) => { this.#timers.delete(id); };
  clearInterval = (id) => { this.#timers.delete(id); };

  /** What classes of the library take. */
  get parts() {
    const { now, setTimeout, setInterval, clearTimeout, clearInterval } = this;
    return { now, setTimeout, setInterval, clearTimeout, clearInterval };
  }

  /** How many timers are set. */
  get pending() {
    return this.#timers.size;
  }

  /** `ms` pass, and all that is due in them happens in its order. */
  async pass(ms) {
    const end = this.ms + ms;
    await settle();
    for (;;) {
      let next;
      for (const timer of this.#timers.values()) {
        if (timer.due <= end && (!next || timer.due < next.due)) next = timer;
      }
      if (!next) break;
      this.ms = Math.max(this.ms, next.due);
      if (next.period === undefined) this.#timers.delete(next.id);
      else next.due = this.ms + Math.max(1, next.period);
      next.act();
      await settle();
    }
    this.ms = end;
  }

  /** Passes until `condition` holds. */
  async until(condition, limit = 60_000) {
    const end = this.ms + limit;
    await settle();
    while (!condition()) {
      if (this.ms >= end) throw new Error(`still not so after ${limit} ms: ${condition}`);
      await this.pass(10);
    }
  }

  #add(act, delay, isRepeated) {
    const id = (this.#last += 1);
    this.#timers.set(id, { id, act, due: this.ms + Math.max(0, delay), period: isRepeated ? delay : undefined });
    return id;
  }
}
