/**
 * Where a tab keeps who it is.
 *
 * A person is the same in all tabs of a browser, and after it was closed and opened again: the session is in
 * `localStorage`, and a second tab in a room is the same person twice, which the server counts as one. Whoever wants
 * to be somebody else in a tab (to see from two chairs, or to share a computer) says so there; from then on that tab
 * keeps its own session in `sessionStorage`, over reloads too, and forgets it when it is closed.
 *
 * @module whoami
 */

const APART = 'streamit.apart';
const NAME = 'streamit.name';

/** A store that may be forbidden or full: then nothing is kept beyond this page. */
function careful(kept) {
  const memory = new Map();
  const tried = (work, otherwise) => {
    try {
      return work(kept());
    } catch {
      return otherwise();
    }
  };
  return {
    getItem: (key) => memory.get(key) ?? tried((store) => store.getItem(key), () => null),
    setItem: (key, value) => tried((store) => store.setItem(key, value), () => void memory.set(key, value)),
    removeItem: (key) => {
      memory.delete(key);
      tried((store) => store.removeItem(key), () => undefined);
    },
  };
}

/** Of this tab alone. */
export const ofTab = careful(() => sessionStorage);
/** Of all tabs. */
export const ofAll = careful(() => localStorage);

const place = () => (ofTab.getItem(APART) ? ofTab : ofAll);

/** What the library keeps its session in. */
export const storage = {
  getItem: (key) => place().getItem(key),
  setItem: (key, value) => place().setItem(key, value),
  removeItem: (key) => place().removeItem(key),
};

/** From now on this tab is somebody of its own. */
export const setApart = () => ofTab.setItem(APART, 'yes');
/** Whether it is. */
export const isApart = () => ofTab.getItem(APART) !== null;

/** The name that was given last, to be offered again. */
export const lastName = () => ofAll.getItem(NAME) ?? '';
/** Keeps it. */
export const keepName = (name) => ofAll.setItem(NAME, name);

/** The generated password of a room, which the server shows to its opener once. */
export const passwordOf = (code) => ofTab.getItem(`streamit.password.${code}`);
/** Keeps it while this tab lives. */
export const keepPassword = (code, password) => ofTab.setItem(`streamit.password.${code}`, password);
