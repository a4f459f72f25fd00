/**
 * Asking before something is done that is not undone as easily. One question stands at a time.
 *
 * @module question
 */
import { $, make } from './dom.js';

/** Whether the focus was lost to a button in here that works. */
export function isAtWork(element) {
  return document.activeElement === document.body && element.querySelector('button:disabled') !== null;
}

export class Question {
  #box = null;
  #button = null;
  #about = null;

  /** Whether an element is a part of the question that stands. */
  has(element) {
    return this.#box?.contains(element) === true;
  }

  /** Whether the question that stands is about this. */
  isAbout(id) {
    return this.#box !== null && this.#about === id;
  }

  /**
   * Puts the question in the button's place. What is focused first is the way back.
   *
   * @param {string} id what it is about
   * @param {HTMLButtonElement} button
   * @param {string} words
   * @param {(yes: HTMLButtonElement) => Promise<unknown>} run what follows a yes
   */
  ask(id, button, words, run) {
    this.end();
    const yes = make('button', { type: 'button', class: 'yes' }, 'Yes');
    const no = make('button', { type: 'button', class: 'no' }, 'No');
    const box = make('div', { class: 'ask', role: 'group', 'aria-label': words }, make('span', { class: 'question' }, words), yes, no);
    [this.#box, this.#button, this.#about] = [box, button, id];
    no.addEventListener('click', () => this.end());
    yes.addEventListener('click', async () => {
      await run(yes);
      if (this.#box === box) this.end();
    });
    button.replaceWith(box);
    no.focus();
  }

  /** Takes it back; whoever was at it is at its button again, or where the room begins. */
  end() {
    const [box, button] = [this.#box, this.#button];
    if (box === null) return;
    this.forget();
    const hadFocus = box.contains(document.activeElement) || isAtWork(box);
    box.replaceWith(button);
    if (hadFocus) button.focus();
    if (hadFocus && document.activeElement !== button) $('room-title').focus();
  }

  /** What it was about has gone, and the question with it. */
  forget() {
    [this.#box, this.#button, this.#about] = [null, null, null];
  }
}
