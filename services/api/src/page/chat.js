/**
 * The chat: what was said, what is on its way, what could not be sent, and the field to say something in.
 *
 * @module chat
 */
import { $, countdown, make, refusal, show, write } from './dom.js';
import { MessageMenus, messageRow } from './message.js';
import { now } from './store.js';
import { hindrance, invitation } from './voice.js';

const MOST = 500;
/** How many letters are left when it begins to be told. */
const NEAR = 80;
/** How many messages are drawn at most. */
const DRAWN = 500;
/** History comes within this, and is drawn. */
const HUSH_MS = 1_500;

const letters = (text) => [...text].length;

/**
 * Shows the chat of the room in `store` until the function that it returns is called.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 */
export function showChat(store, api) {
  const [log, scroll, form, field, state] = ['chat-log', 'chat-scroll', 'chat-form', 'chat-text', 'chat-state'].map($);
  const room = store.state.room;
  const stopping = new AbortController();
  const on = (target, name, act) => target.addEventListener(name, act, { signal: stopping.signal });
  /** Rows by `seq`, and those that have none yet. */
  const rows = new Map();
  const drafts = [];
  const menus = new MessageMenus(log, room, api, stopping.signal);
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
    let isOther = false;
    messages.forEach((message, index) => {
      const drawn = rows.get(message.seq);
      if (drawn && (!message.erased || drawn.classList.contains('gone'))) return;
      const item = messageRow(message, messages[index - 1]);
      menus.add(item, message);
      if (drawn) {
        // Whoever took it back goes on where it was said.
        if (menus.drop(drawn)) scroll.focus();
        drawn.replaceWith(item);
      } else {
        log.insertBefore(item, drafts[0]?.item ?? null);
        added += 1;
      }
      rows.set(message.seq, item);
      isOther = true;
    });
    for (const seq of rows.keys()) {
      if (rows.size <= DRAWN) break;
      if (menus.drop(rows.get(seq))) scroll.focus();
      rows.get(seq).remove();
      rows.delete(seq);
    }
    if (isOther) menus.settle();
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
    const done = () => {
      isMuted = false;
      drop(draft);
    };
    room.say(text).then(done, (error) => failed(draft, error));
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
    // The same words would be refused again.
    const isWording = error?.code === 'WORD_BLOCKED';
    const again = make('button', { type: 'button', class: 'again' }, isWording ? 'Change it' : 'Try again');
    const away = make('button', { type: 'button', class: 'quiet' }, 'Discard');
    again.addEventListener('click', () => {
      drop(draft);
      isMuted = false;
      if (isWording) field.value = [draft.text, field.value.trim()].filter(Boolean).join('\n');
      else send(draft.text);
      drawState();
      field.focus();
    });
    away.addEventListener('click', () => {
      drop(draft);
      show($('chat-empty'), rows.size === 0 && drafts.length === 0);
      field.focus();
    });
    // How long to wait is told below, where it is counted down.
    const counted = { RATE_LIMITED: 'that was a lot at once.', SLOW_MODE: 'the room is in slow mode.' };
    const reason = counted[error?.code] ?? refusal(error);
    const why = make('span', { class: 'why' }, `Not sent: ${reason}`);
    draft.item.className = 'failed first';
    draft.item.removeAttribute('aria-hidden');
    draft.item.append(why, again, away);
    if (!isWording) draft.again = again;
    store.set();
    toEnd();
  }

  // --- the field

  /** Why nothing can be said now; null when something can. */
  const inTheWay = () => hindrance(room, quietUntil, now());

  function drawState() {
    clearTimeout(timer);
    const why = inTheWay();
    const said = why?.text ?? (isMuted ? 'You are muted in the chat.' : null);
    show(state, said !== null);
    write($('chat-why'), said ?? '');
    // A countdown that is read out every second would be in the way of everything else.
    write($('chat-clock'), why?.until ? `${countdown(why.until - now())}` : '');
    // What was typed stays, and goes out when it may.
    field.disabled = why?.placeholder !== undefined;
    field.placeholder = why?.placeholder ?? invitation(room);
    for (const draft of drafts) if (draft.again) draft.again.disabled = why !== null;
    drawField();
    if (why?.until) timer = setTimeout(drawState, 250);
  }

  function drawField() {
    const count = letters(field.value.trim());
    const left = MOST - count;
    write($('chat-left'), left <= NEAR ? (left < 0 ? `${-left} too many` : `${left} left`) : '');
    $('chat-left').classList.toggle('over', left < 0);
    field.toggleAttribute('aria-invalid', left < 0);
    $('chat-send').disabled = count === 0 || left < 0 || inTheWay() !== null;
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
    if (text === '' || letters(text) > MOST || inTheWay()) return;
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
