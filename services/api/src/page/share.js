/**
 * Inviting somebody: the link, the password where there is one, and the system's own way of sharing.
 *
 * @module share
 */
import { $, show, write } from './dom.js';
import { passwordOf } from './whoami.js';

const HOW = {
  PASSWORD: 'Whoever opens the link is asked for the password.',
  APPROVAL: 'Whoever opens the link asks to come in, and the host decides.',
};

/** The address at which others come into a room. */
export const linkTo = (code) => `${location.origin}/r/${code}`;

/** Fills the box for the room in `store`, and opens it. */
export function openShare(store) {
  const { code, entryMode } = store.state;
  const password = passwordOf(code);
  $('share-link').value = linkTo(code);
  write($('share-how'), HOW[entryMode] ?? 'Whoever opens the link is in, with a name and nothing else.');
  write($('room-password-shown'), password ?? '');
  show($('share-password-row'), password !== null);
  $('share-apart').href = `/r/${code}#somebody-else`;
  show($('share-system'), typeof navigator.share === 'function');
  write($('share-done'), '');
  // Not modal: one can watch on while it is open.
  if (!$('share-box').open) $('share-box').show();
}

/** Wires the box up, once. */
export function wireShare(store) {
  const box = $('share-box');
  $('share').addEventListener('click', () => (box.open ? box.close() : openShare(store)));
  $('share-link').addEventListener('focus', (event) => event.target.select());
  $('share-copy').addEventListener('click', async () => {
    const link = $('share-link');
    try {
      await navigator.clipboard.writeText(link.value);
      write($('share-done'), 'The link is copied.');
    } catch {
      // No clipboard without TLS or leave: select it, so that one key does it.
      link.focus();
      link.select();
      write($('share-done'), 'Press Ctrl+C (or ⌘C) to copy the link.');
    }
  });
  $('share-system').addEventListener('click', async () => {
    try {
      await navigator.share({ title: 'Watch together', text: 'Come and watch with me', url: $('share-link').value });
    } catch {
      // Thought better of.
    }
  });
}

/** Gives every dialog its cross, Escape and a click outside. */
export function wireDialogs() {
  for (const box of document.querySelectorAll('dialog')) {
    box.querySelector('[data-close]').addEventListener('click', () => box.close());
    box.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      event.preventDefault();
      event.stopPropagation();
      box.close();
    });
  }
  document.addEventListener('pointerdown', ({ target }) => {
    const box = $('share-box');
    if (box.open && !box.contains(target) && !$('share').contains(target)) box.close();
    // What is outside of a modal one is the dialog itself.
    for (const id of ['settings', 'report']) if ($(id).open && target === $(id)) $(id).close();
  });
}
