/**
 * Telling those who run the server of somebody, or of something that was said.
 *
 * @module report
 */
import { $, attempt, show, toast, write } from './dom.js';

/** What needs words of one's own. */
const OTHER = 'OTHER';
let about = null;

/**
 * Asks what is wrong with somebody, or with what they said.
 *
 * @param {{user_id: string, name: string, message?: {seq: number, message: string}}} what
 */
export function openReport(what) {
  about = what;
  write($('report-title'), what.message ? `Report what ${what.name} said` : `Report ${what.name}`);
  show($('report-said'), what.message !== undefined);
  write($('report-said'), what.message?.message ?? '');
  write($('report-error'), '');
  $('report-form').reset();
  $('report-note').required = false;
  $('report').showModal();
}

/**
 * Wires the dialog up, once.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 */
export function wireReport(store, api) {
  const [reason, note] = ['report-reason', 'report-note'].map($);
  reason.addEventListener('change', () => {
    note.required = reason.value === OTHER;
  });
  $('report-form').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt($('report-send'), $('report-error'), async () => {
      const { user_id, message } = about;
      await api.report(store.state.code, {
        ...(message ? { seq: message.seq } : { user_id }),
        reason: reason.value,
        ...(note.value.trim() && { note: note.value.trim() }),
      });
      $('report').close();
      toast('Thank you. Those who run this server will look at it.');
    });
  });
}
