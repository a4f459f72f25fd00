/**
 * The settings of the room, for its host. Each is kept the moment it is changed. Co-hosts see who was banned.
 *
 * @module settings
 */
import { $, attempt, make, refusal, show, toast, write } from './dom.js';
import { wireOrder } from './order.js';
import { isHost, isInCharge } from './rules.js';
import { span } from './voice.js';

const CHECK = [(field) => field.checked, (field, value) => { field.checked = value; }];
const CHOICE = [(field) => field.value, (field, value) => { field.value = value; }];
const COUNT = [(field) => Number(field.value), (field, value) => { field.value = value; }];
/** Another client may have set a span that is not offered here. */
const SPAN = [COUNT[0], (field, value) => {
  if (![...field.options].some((option) => Number(option.value) === value)) {
    field.append(make('option', { value }, span(value)));
  }
  field.value = value;
}];
const LINES = [(field) => field.value.split('\n'), (field, value) => { field.value = value.join('\n'); }];

/** What a field is called by the server, and how it is read and set. */
const FIELDS = {
  'set-locked': ['is_locked', ...CHECK],
  'set-chat': ['is_chat_enabled', ...CHECK],
  'set-chat-locked': ['is_chat_locked', ...CHECK],
  'set-slow': ['slow_mode_seconds', ...SPAN],
  'set-words': ['blocked_words', ...LINES],
  'set-readiness': ['readiness', ...CHOICE],
  'set-lost': ['on_host_lost', ...CHOICE],
  'set-grace': ['host_grace_seconds', ...COUNT],
};
/** What of the dialog co-hosts see nothing of. */
const OF_HOST = ['settings-form', 'record-box', 'close-room'];
const CLOSE = 'Close the room for everybody';
const SURE = 'Really? Press once more';

/** What took some typing. When it is refused it stays as it is, to be mended. */
const TYPED = new Set(['set-words', 'set-grace']);

/** Shows how all is. */
function fill(settings, refused) {
  for (const [id, [name, , set]] of Object.entries(FIELDS)) {
    if (settings[name] !== undefined && !refused.has(id)) set($(id), settings[name]);
  }
}

/**
 * Wires the dialog up, once.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 */
export function wireSettings(store, api) {
  const box = $('settings');
  const error = $('settings-error');
  const remove = $('delete-room');
  const renew = wireOrder(store, api);
  const refused = new Set();
  let unsure;
  /** One change after the other, and none that waits is overwritten on screen by the answer to an earlier one. */
  let kept = Promise.resolve();
  let waiting = 0;

  async function keep(code, id, name, value) {
    try {
      const settings = await api.on(code, 'settings', { [name]: value });
      refused.delete(id);
      if (waiting === 1) {
        fill(settings, refused);
        renew();
      }
    } catch (why) {
      if (TYPED.has(id)) refused.add(id);
      write(error, refusal(why));
    } finally {
      waiting -= 1;
    }
  }

  $('settings-open').addEventListener('click', async () => {
    try {
      // A change of nothing answers all there is, also what is not for everybody to read.
      refused.clear();
      if (isHost(store.state.room)) fill(await api.on(store.state.code, 'settings'), refused);
      write(error, '');
      write(remove, CLOSE);
      box.showModal();
      renew();
    } catch (why) {
      toast(refusal(why));
    }
  });

  for (const [id, [name, get]] of Object.entries(FIELDS)) {
    $(id).addEventListener('change', ({ target }) => {
      if (!target.reportValidity()) return;
      write(error, '');
      const [{ code }, value] = [store.state, get(target)];
      waiting += 1;
      kept = kept.then(() => keep(code, id, name, value));
    });
  }
  $('settings-form').addEventListener('submit', (event) => event.preventDefault());

  remove.addEventListener('click', () => {
    clearTimeout(unsure);
    if (remove.textContent !== SURE) {
      write(remove, SURE);
      unsure = setTimeout(() => write(remove, CLOSE), 4_000);
      return;
    }
    attempt(remove, error, async () => {
      await api.on(store.state.code, 'delete');
      box.close();
    });
  });

  store.watch(({ room }) => {
    for (const id of OF_HOST) show($(id), isHost(room));
    // Whoever has handed the room over has nothing to set any more.
    if (box.open && !isInCharge(room)) box.close();
  });
}
