import { Random } from './random.js';

/**
 * Time, and what happens in it. Nothing here waits: the clock jumps from one event to the next, so that an hour of
 * film takes milliseconds. `time` is the true time in milliseconds, which only the measuring may look at; viewers have
 * clocks of their own.
 */
export class World {
  time = 0;
  random;
  #queue = [];
  #order = 0;
  #hasPromises = false;

  constructor(seed) {
    this.random = new Random(seed);
  }

  /** Calls `act` at the true time `time`; of two at the same time the one asked for first comes first. */
  at(time, act) {
    const event = { time: Math.max(time, this.time), order: (this.#order += 1), act };
    push(this.#queue, event);
    return event;
  }

  after(delay, act) {
    return this.at(this.time + delay, act);
  }

  /** Calls `act` every `period`, beginning after one, for as long as the world is run. */
  every(period, act) {
    this.after(period, () => {
      act();
      this.every(period, act);
    });
  }

  cancel(event) {
    if (event) event.act = null;
  }

  /** Says that a promise was settled: what waits for it must run before time goes on. */
  settled() {
    this.#hasPromises = true;
  }

  /** Lets `duration` pass. */
  async run(duration) {
    const end = this.time + duration;
    await this.#settle();
    while (this.#queue.length > 0 && this.#queue[0].time <= end) {
      const event = pop(this.#queue);
      if (!event.act) continue;
      this.time = event.time;
      event.act();
      if (this.#hasPromises) await this.#settle();
    }
    this.time = end;
  }

  async #settle() {
    if (!this.#hasPromises) return;
    this.#hasPromises = false;
    await new Promise(setImmediate);
  }
}

const before = (a, b) => a.time < b.time || (a.time === b.time && a.order < b.order);

/** A binary heap: the earliest event is the first. */
function push(heap, event) {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent])) break;
    heap[at] = heap[parent];
    at = parent;
  }
  heap[at] = event;
}

function pop(heap) {
  const first = heap[0];
  const last = heap.pop();
  if (heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child += 1;
    if (!before(heap[child], last)) break;
    heap[at] = heap[child];
    at = child;
  }
  heap[at] = last;
  return first;
}
