/**
 * The settings of the room, for its host. Each is kept the moment it is changed.
 *
 * @module settings
 */
import { $, attempt, refusal, toast, write } from './dom.js';

/** What a field is called by the server, and how it is read and set. */
const FIELDS = {
  'set-chat': ['is_chat_enabled', (field) => field.checked, (field, value) => void (field.checked = value)],
  'set-readiness': ['readiness', (field) => field.value, (field, value) => void (field.value = value)],
  'set-lost': ['on_host_lost', (field) => field.value, (field, value) => void (field.value = value)],
  'set-grace': ['host_grace_seconds', (field) => Number(field.value), (field, value) => void (field.value = value)],
};
const CLOSE = 'Close the room for everybody';
const SURE = 'Really? Press once more';

function fill(settings) {
  for (const [id, [name, , set]] of Object.entries(FIELDS)) {
    if (settings[name] !== undefined) set($(id), settings[name]);
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
  let unsure;

  $('settings-open').addEventListener('click', async () => {
    try {
      const { settings } = await api.call('GET', `/api/rooms/${store.state.code}/`);
      fill(settings);
      write(error, '');
      write(remove, CLOSE);
      box.showModal();
    } catch (why) {
      toast(refusal(why));
    }
  });

  for (const [id, [name, get]] of Object.entries(FIELDS)) {
    $(id).addEventListener('change', async ({ target }) => {
      if (!target.reportValidity()) return;
      write(error, '');
      try {
        fill(await api.call('POST', '/api/rooms/settings/', { code: store.state.code, [name]: get(target) }));
      } catch (why) {
        write(error, refusal(why));
      }
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
      await api.call('POST', '/api/rooms/delete/', { code: store.state.code });
      box.close();
    });
  });
}
