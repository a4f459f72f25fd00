/**
 * A message in the chat: who said what and when, and what can be done about it.
 *
 * @module message
 */
import { busy, icon, make, refusal, toast } from './dom.js';
import { hue } from './person.js';
import { openReport } from './report.js';
import { may } from './rules.js';

/** Messages of one person within this stand together, under one name. */
const TOGETHER_MS = 4 * 60_000;

const hour = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });

/**
 * Builds the row of a message.
 *
 * @param {import('/streamit.js').Message} message
 * @param {import('/streamit.js').Message} [before] the one above it
 */
export function messageRow(message, before) {
  const at = new Date(message.created_at);
  const isFirst = !before || before.user_id !== message.user_id || at - new Date(before.created_at) > TOGETHER_MS;
  const item = make('li', { class: isFirst ? 'first' : '' });
  if (isFirst) {
    const name = make('b', { class: hue(message.user_id) }, message.user);
    const time = make('time', { dateTime: message.created_at }, hour.format(at));
    item.append(make('div', { class: 'from' }, name, time));
  } else {
    item.title = `${message.user}, ${hour.format(at)}`;
    item.append(make('span', { class: 'unseen' }, `${message.user}: `));
  }
  if (message.erased) item.classList.add('gone');
  item.append(make('span', { class: 'said' }, message.erased ? 'This message was taken back.' : message.message));
  return item;
}

/**
 * What can be done about messages. Each has a button; of all those only one is stopped at by the Tab key, else nobody
 * would ever come out of a long chat: the arrow keys lead from one to the next.
 */
export class MessageMenus {
  #log;
  #room;
  #api;
  #stop = null;
  #opened = null;

  /**
   * @param {HTMLElement} log
   * @param {import('/streamit.js').Room} room
   * @param {import('/streamit.js').StreamIt} api
   * @param {AbortSignal} signal when it is over
   */
  constructor(log, room, api, signal) {
    this.#log = log;
    this.#room = room;
    this.#api = api;
    log.addEventListener('keydown', (event) => this.#onkey(event), { signal });
  }

  /** Gives the row of a message its button. */
  add(item, message) {
    if (message.erased) return;
    const more = make('button', { type: 'button', class: 'icon more', 'aria-expanded': 'false', 'aria-label': 'More' }, icon('more'));
    more.title = 'More about this message';
    more.tabIndex = -1;
    more.addEventListener('click', () => this.#toggle(item, message, more));
    more.addEventListener('focus', () => this.#setStop(more));
    item.append(more);
  }

  /** The Tab key stops at the last message, unless somebody has gone up from there. */
  settle() {
    if (this.#log.contains(document.activeElement)) return;
    this.#setStop([...this.#log.querySelectorAll('.more')].at(-1) ?? null);
  }

  /** A row goes. Whether somebody was in it. */
  drop(item) {
    if (this.#opened && item.contains(this.#opened.box)) this.#opened = null;
    return item.contains(document.activeElement)
      || (document.activeElement === document.body && item.querySelector('button:disabled') !== null);
  }

  #setStop(button) {
    if (this.#stop === button) return;
    if (this.#stop) this.#stop.tabIndex = -1;
    if (button) button.tabIndex = 0;
    this.#stop = button;
  }

  #toggle(item, message, more) {
    const isOpen = this.#opened?.more === more;
    this.#close();
    if (isOpen) return;
    const box = make('div', { class: 'actions', role: 'group', 'aria-label': 'About this message' });
    const action = (label, run, name) => {
      const button = make('button', { type: 'button', class: `quiet ${name}` }, label);
      button.addEventListener('click', () => run(button));
      box.append(button);
    };
    const { seq, user, user_id: author } = message;
    if (may('erase', this.#room, author)) action('Take back', (button) => this.#erase(seq, button), 'erase');
    if (may('report', this.#room, author)) {
      action('Report', () => openReport({ user_id: author, name: user, message }), 'report');
    }
    more.after(box);
    more.setAttribute('aria-expanded', 'true');
    this.#opened = { more, box };
    box.querySelector('button')?.focus();
    box.scrollIntoView({ block: 'nearest' });
  }

  #close() {
    this.#opened?.box.remove();
    this.#opened?.more.setAttribute('aria-expanded', 'false');
    this.#opened = null;
  }

  async #erase(seq, button) {
    try {
      // What follows from it comes back from the room.
      await busy(button, () => this.#api.erase(this.#room.code, { seq }));
    } catch (error) {
      toast(refusal(error));
    }
  }

  #onkey(event) {
    const { key, target } = event;
    if (key === 'Escape' && this.#opened) {
      const { more } = this.#opened;
      this.#close();
      more.focus();
      event.preventDefault();
      return;
    }
    if (!target.matches('.more')) return;
    const all = [...this.#log.querySelectorAll('.more')];
    const at = all.indexOf(target);
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[key];
    if (to === undefined) return;
    event.preventDefault();
    all[to]?.focus();
  }
}
