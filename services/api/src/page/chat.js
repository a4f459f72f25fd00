/**
 * The chat: what was said, what is on its way, what could not be sent, and the field to say something in.
 *
 * @module chat
 */
import { $, countdown, make, refusal, show, write } from './dom.js';
import { hue } from './people.js';
import { now } from './store.js';

const MOST = 500;
/** How many letters are left when it begins to be told. */
const NEAR = 80;
/** How many messages are drawn at most. */
const DRAWN = 500;
/** Messages of one person within this stand together, under one name. */
const TOGETHER_MS = 4 * 60_000;
/** History comes within this, and is drawn. */
const HUSH_MS = 1_500;

const hour = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' });
const letters = (text) => [...text].length;

/**
 * Shows the chat of the room in `store` until the function that it returns is called.
 *
 * @param {import('./store.js').Store} store
 */
export function showChat(store) {
  const [log, scroll, form, field, state] = ['chat-log', 'chat-scroll', 'chat-form', 'chat-text', 'chat-state'].map($);
  const room = store.state.room;
  const stopping = new AbortController();
  const on = (target, name, act) => target.addEventListener(name, act, { signal: stopping.signal });
  /** Rows by `seq`, and those that have none yet. */
  const rows = new Map();
  const drafts = [];
  let quietUntil = 0;
  let isMuted = false;
  /** Whether the newest is in sight, and so to be kept there. */
  let isDown = true;
  let height = scroll.clientHeight;
  /** The numbers of messages are given out anew in another one. */
  let { epoch } = room;
  let timer;
  let hushed;

  // --- what was said

  function row(message, before) {
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

  /** Draws what is new, or everything where what is drawn can't be gone on with. */
  function draw(all) {
    const messages = all.slice(-DRAWN);
    const last = [...rows.keys()].at(-1) ?? 0;
    const isLater = messages.every(({ seq }) => seq > last || rows.has(seq)) && [...rows.keys()].every(
      (seq) => messages.length > 0 && (seq >= messages[0].seq || all.length >= DRAWN),
    );
    if (!isLater || epoch !== room.epoch) {
      epoch = room.epoch;
      hush();
      log.replaceChildren();
      rows.clear();
    }
    let added = 0;
    messages.forEach((message, index) => {
      const drawn = rows.get(message.seq);
      if (drawn && (!message.erased || drawn.classList.contains('gone'))) return;
      const item = row(message, messages[index - 1]);
      if (drawn) drawn.replaceWith(item);
      else log.insertBefore(item, drafts[0]?.item ?? null);
      rows.set(message.seq, item);
      added += 1;
    });
    for (const seq of rows.keys()) {
      if (rows.size <= DRAWN) break;
      rows.get(seq).remove();
      rows.delete(seq);
    }
    show($('chat-empty'), rows.size === 0 && drafts.length === 0);
    if (isDown) toEnd();
    else if (added > 0) show($('chat-newer'), true);
  }

  /** Keeps a screen reader from reading out all that was said before one came. */
  function hush() {
    clearTimeout(hushed);
    scroll.setAttribute('aria-live', 'off');
    hushed = setTimeout(() => scroll.setAttribute('aria-live', 'polite'), HUSH_MS);
  }

  function toEnd() {
    isDown = true;
    scroll.scrollTop = scroll.scrollHeight;
    show($('chat-newer'), false);
  }

  // --- what is on its way

  function send(text) {
    // Read out when it comes back, not twice.
    const item = make('li', { class: 'pending first', 'aria-hidden': 'true' }, make('span', { class: 'said' }, text));
    const draft = { item, text };
    drafts.push(draft);
    log.append(item);
    show($('chat-empty'), false);
    toEnd();
    room.say(text).then(() => drop(draft), (error) => failed(draft, error));
  }

  function drop(draft) {
    const index = drafts.indexOf(draft);
    if (index >= 0) drafts.splice(index, 1);
    draft.item.remove();
  }

  function failed(draft, error) {
    if (stopping.signal.aborted) return;
    if (error?.code === 'RATE_LIMITED') quietUntil = now() + (error.retryInMs ?? 10_000);
    if (error?.code === 'MUTED') isMuted = true;
    const again = make('button', { type: 'button' }, 'Try again');
    const away = make('button', { type: 'button', class: 'quiet' }, 'Discard');
    again.addEventListener('click', () => {
      drop(draft);
      isMuted = false;
      send(draft.text);
      field.focus();
    });
    away.addEventListener('click', () => {
      drop(draft);
      show($('chat-empty'), rows.size === 0 && drafts.length === 0);
      field.focus();
    });
    // How long to wait is told below, where it is counted down.
    const reason = error?.code === 'RATE_LIMITED' ? 'that was a lot at once.' : refusal(error);
    const why = make('span', { class: 'why' }, `Not sent: ${reason}`);
    draft.item.className = 'failed first';
    draft.item.removeAttribute('aria-hidden');
    draft.item.append(why, again, away);
    draft.again = again;
    store.set();
    toEnd();
  }

  // --- the field

  /** Why nothing can be said now; null when something can. */
  function hindrance() {
    if (room.settings.is_chat_enabled === false) return 'The host has switched the chat off.';
    if (now() < quietUntil) return `That was a lot at once. Go on in ${countdown(quietUntil - now())}.`;
    return null;
  }

  function drawState() {
    clearTimeout(timer);
    const why = hindrance();
    const isOff = room.settings.is_chat_enabled === false;
    const said = why ?? (isMuted ? 'The host has muted you in the chat.' : null);
    // A countdown that is read out every second would be in the way of everything else.
    state.setAttribute('aria-live', now() < quietUntil ? 'off' : 'polite');
    show(state, said !== null);
    write(state, said ?? '');
    field.disabled = isOff;
    field.placeholder = isOff ? 'The chat is off' : 'Say something';
    for (const draft of drafts) if (draft.again) draft.again.disabled = why !== null;
    drawField();
    if (now() < quietUntil) timer = setTimeout(drawState, 250);
  }

  function drawField() {
    const count = letters(field.value.trim());
    const left = MOST - count;
    write($('chat-left'), left <= NEAR ? (left < 0 ? `${-left} too many` : `${left} left`) : '');
    $('chat-left').classList.toggle('over', left < 0);
    field.toggleAttribute('aria-invalid', left < 0);
    $('chat-send').disabled = count === 0 || left < 0 || hindrance() !== null;
    field.style.height = 'auto';
    field.style.height = `${field.scrollHeight + 2}px`;
  }

  on(field, 'input', drawField);
  on(field, 'keydown', (event) => {
    if (event.key === 'Escape') field.blur();
    // While an input method composes a character, Enter belongs to it.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  on(form, 'submit', (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === '' || letters(text) > MOST || hindrance()) return;
    field.value = '';
    send(text);
    drawField();
    field.focus();
  });
  on($('chat-newer'), 'click', toEnd);
  on(scroll, 'scroll', () => {
    // Not the reader's doing: there is another height now, and what follows from it comes right after this.
    if (scroll.clientHeight !== height) return;
    isDown = scroll.scrollHeight - scroll.scrollTop - height < 60;
    if (isDown) show($('chat-newer'), false);
  });
  // What is read stays in sight when the space for it changes.
  const resized = new ResizeObserver(() => {
    height = scroll.clientHeight;
    if (isDown) toEnd();
  });
  resized.observe(scroll);

  hush();
  log.replaceChildren();
  show($('chat-newer'), false);
  field.value = '';
  const unwatch = store.watch((state) => {
    if (state.room !== room) return;
    draw(room.messages);
    drawState();
  });
  toEnd();
  return () => {
    unwatch();
    stopping.abort();
    resized.disconnect();
    clearTimeout(timer);
    clearTimeout(hushed);
  };
}
