/**
 * The two lists in the settings that are read rather than set: who was banned, and what was done.
 *
 * @module order
 */
import { $, attempt, make, show, write } from './dom.js';
import { sentence } from './record.js';

const when = new Intl.DateTimeFormat(undefined, { dateStyle: 'short', timeStyle: 'short' });

/**
 * Wires both up, once. What is behind a heading is asked for when that is opened.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 * @returns {() => void} has them asked for anew
 */
export function wireOrder(store, api) {
  const [bans, banned, bansSaid] = ['bans-box', 'bans', 'bans-said'].map($);
  const [acts, record, recordSaid, more] = ['record-box', 'record', 'record-said', 'record-more'].map($);

  // --- who was banned

  function ban({ id, display_name: name }) {
    const button = make('button', { type: 'button', class: 'quiet unban' }, 'Let in again');
    button.setAttribute('aria-label', `Let ${name} in again`);
    const item = make('li', {}, make('b', {}, name), button);
    button.addEventListener('click', () => attempt(button, bansSaid, async () => {
      await api.on(store.state.code, 'unban', { user_id: id });
      const next = item.nextElementSibling ?? item.previousElementSibling;
      item.remove();
      // A button that has gone leaves whoever pressed it nowhere.
      (next?.querySelector('button') ?? bans.querySelector('summary')).focus();
      write(bansSaid, `${name} may come in again.`);
    }));
    return item;
  }

  async function showBans() {
    await attempt(bans, bansSaid, async () => {
      const list = await api.bans(store.state.code);
      banned.replaceChildren(...list.map(ban));
      write(bansSaid, list.length === 0 ? 'Nobody is banned.' : '');
    });
  }

  // --- what was done

  function line(entry) {
    const at = make('time', { dateTime: entry.at }, when.format(new Date(entry.at)));
    return make('li', { 'data-action': entry.action }, at, ' ', make('span', {}, sentence(entry)));
  }

  /** The newest, or what came before the last one that is shown. */
  async function showRecord(before) {
    await attempt(before === undefined ? acts : more, recordSaid, async () => {
      const { entries, has_more: hasMore } = await api.audit(store.state.code, { before });
      const lines = entries.map(line);
      if (before === undefined) record.replaceChildren(...lines);
      else record.append(...lines);
      more.dataset.before = entries.at(-1)?.id ?? before ?? '';
      show(more, hasMore);
      write(recordSaid, before !== undefined && !hasMore ? 'That is where it began.' : '');
    });
  }

  bans.addEventListener('toggle', () => bans.open && showBans());
  acts.addEventListener('toggle', () => acts.open && showRecord());
  more.addEventListener('click', () => showRecord(more.dataset.before));
  return () => {
    for (const list of [banned, record]) list.replaceChildren();
    for (const said of [bansSaid, recordSaid]) write(said, '');
    show(more, false);
    if (bans.open) showBans();
    if (acts.open) showRecord();
  };
}
