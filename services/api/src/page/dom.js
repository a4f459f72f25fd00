/**
 * What the modules of the page need of the document. Whatever people wrote goes in as text, never as markup.
 *
 * @module dom
 */

const SVG = 'http://www.w3.org/2000/svg';

/** The element with this id. */
export const $ = (id) => document.getElementById(id);

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {Record<string, any>} [props] properties; `class`, `aria-*` and `data-*` are set as attributes
 * @param {...(Node|string|null)} children null is left out
 */
export function make(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'class' || name.includes('-')) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** One of the icons in index.html. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

/** Gives a button with one icon another one, and another name. */
export function reface(button, name, label, title = label) {
  const href = `#i-${name}`;
  const use = button.querySelector('use');
  if (use.getAttribute('href') !== href) use.setAttribute('href', href);
  if (button.getAttribute('aria-label') !== label) button.setAttribute('aria-label', label);
  button.title = title;
}

/** Sets a text if it differs: what a screen reader watches must not seem to change. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Shows or hides. */
export function show(element, isShown) {
  if (element.hidden === isShown) element.hidden = !isShown;
}

/** Seconds of a film as people write them: 4:05, 1:02:09. */
export function clockTime(seconds) {
  if (!Number.isFinite(seconds)) return '–:––';
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, '0');
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** A span of milliseconds as a countdown shows it: never 0 before it is over. */
export function countdown(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  return seconds < 100 ? `${seconds} s` : clockTime(seconds);
}

/** "Ana", "Ana and Bo", "Ana, Bo and 3 others". */
export function names(list, total = list.length) {
  const shown = list.slice(0, total > 3 ? 2 : 3);
  const others = total - shown.length;
  if (others > 0) return `${shown.join(', ')} and ${others} ${others === 1 ? 'other' : 'others'}`;
  return shown.length < 2 ? shown.join('') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)}`;
}

/** Tells something in passing, at the foot of the page. At most three at a time. */
export function toast(text) {
  const box = $('toasts');
  while (box.children.length >= 3) box.firstChild.remove();
  const line = make('p', {}, text);
  box.append(line);
  setTimeout(() => line.remove(), 5_000);
}

/**
 * Runs what a button or form asks for: not twice at once, and its refusal is shown beside it.
 *
 * @param {HTMLElement} trigger the button; disabled meanwhile
 * @param {HTMLElement} place where a refusal is told
 * @param {() => Promise<void>} work
 */
export async function attempt(trigger, place, work) {
  if (trigger.disabled) return;
  place.textContent = '';
  try {
    await busy(trigger, work);
  } catch (error) {
    place.textContent = refusal(error);
  }
}

/**
 * Disables a button while `work` goes on. Browsers take the focus from what is disabled: it gets it back.
 *
 * @template T
 * @param {HTMLButtonElement} button
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function busy(button, work) {
  const hadFocus = document.activeElement === button;
  button.disabled = true;
  try {
    return await work();
  } finally {
    button.disabled = false;
    if (hadFocus && document.activeElement === document.body) button.focus();
  }
}

/** A sentence about an error. What is not a refusal of the server is a fault of ours and goes to the console. */
export function refusal(error) {
  if (error?.code === 'RATE_LIMITED' || error?.code === 'TRY_AGAIN') {
    const ms = error.retryInMs ?? error.retryAfter * 1000;
    const wait = ms > 0 ? ` Try again in ${countdown(ms)}.` : ' Try again in a moment.';
    return error.message.replace(/\.?$/, '.') + wait;
  }
  if (error?.code === 'UNREACHABLE') return 'The server can’t be reached. Is the network there?';
  const fields = Object.values(error?.fields ?? {});
  if (fields.length > 0) return `${fields.join('. ')}.`;
  if (error?.code) return error.message.replace(/\.?$/, '.');
  console.error(error);
  return 'Something went wrong.';
}
