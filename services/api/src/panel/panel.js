/**
 * Keeps up to date what changes by itself: each `[data-live]` is taken anew from the same address, as often as it says in
 * seconds, while somebody looks. Without this the page shows what it showed, until it is loaded again.
 */

/** Tells the server that nobody has done anything: the login must not be kept alive by a page left open. */
const REFRESH = 'X-Panel-Refresh';

/** The page as it is now. As a document of XMLHttpRequest: nothing in it runs, and no text is made into markup here. */
function page() {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open('GET', location.href);
    request.responseType = 'document';
    request.timeout = 10_000;
    request.setRequestHeader(REFRESH, '1');
    request.onload = () => resolve(request);
    request.onerror = request.ontimeout = reject;
    request.send();
  });
}

/** Puts what is new into the place of what is old, and the focus where it was. */
function replace(old, fresh) {
  const focus = old.contains(document.activeElement) ? document.activeElement : null;
  const links = (part) => [...part.querySelectorAll('a[href], button, summary')];
  const index = focus ? links(old).indexOf(focus) : -1;
  const next = document.importNode(fresh, true);
  old.replaceWith(next);
  if (focus) (links(next)[index] ?? document.querySelector('main')).focus({ preventScroll: true });
}

async function refresh(id) {
  const request = await page();
  if (request.status !== 200 || !request.response) return;
  // The login has ended: what is shown is not there to be seen any more.
  if (new URL(request.responseURL).pathname !== location.pathname) location.reload();
  const [old, fresh] = [document.getElementById(id), request.response.getElementById(id)];
  // Nobody's selection is taken from under the hand.
  if (old && fresh && getSelection()?.isCollapsed !== false) replace(old, fresh);
}

for (const { id, dataset } of document.querySelectorAll('[data-live]')) {
  const again = () => setTimeout(async () => {
    if (!document.hidden) await refresh(id).catch(() => {});
    again();
  }, Number(dataset.live) * 1000);
  again();
}
