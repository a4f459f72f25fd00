/**
 * Somebody in the list of people: who it is, and what can be done about them.
 *
 * @module person
 */
import { icon, make, show, write } from './dom.js';
import { isInCharge, may } from './rules.js';

const ROLES = { HOST: ['Host', 'badge host'], COHOST: ['Co-host', 'badge'] };
/** For how many seconds one may be muted, as it goes on after "Mute for"; null is without end. */
const MUTES = [[300, '5 min'], [3600, '1 hour'], [null, 'good']];
/** What can be had behind "More". */
const DEEDS = ['cohost', 'transfer', 'mute', 'unmute', 'erase', 'ban', 'report'];

/** One of eight colours, the same for a person wherever they are named. */
export function hue(id) {
  let sum = 0;
  for (const char of String(id)) sum = (sum * 31 + char.charCodeAt(0)) >>> 0;
  return `hue-${sum % 8}`;
}

/**
 * @typedef {object} Hands what a row does when it is used
 * @property {(what: string, button: HTMLButtonElement, more?: object) => Promise<boolean>} act
 * @property {(button: HTMLButtonElement, words: string, run: (yes: HTMLButtonElement) => Promise<unknown>) => void} ask
 * @property {() => void} toggle opens and closes what is behind "More"
 * @property {() => void} report
 */

/** Builds the row of somebody. @param {string} id @param {Hands} hands */
export function personRow(id, { act, ask, toggle, report }) {
  const parts = {
    face: make('span', { class: `face ${hue(id)}`, 'aria-hidden': 'true' }),
    name: make('b'),
    you: make('span', { class: 'you' }, '(you)'),
    role: make('span', { class: 'badge' }),
    slow: make('span', { class: 'badge slow' }, 'loading'),
    silent: make('span', { class: 'badge silent' }, 'muted'),
    kick: make('button', { type: 'button', class: 'icon kick' }, icon('cross')),
    more: make('button', { type: 'button', class: 'icon more', 'aria-expanded': 'false' }, icon('more')),
    actions: make('div', { class: 'actions', hidden: true }),
  };
  const action = (label, run, className = 'quiet', place = parts.actions) => {
    const button = make('button', { type: 'button', class: className }, label);
    button.addEventListener('click', () => run(button));
    place.append(button);
    return button;
  };
  const name = () => parts.member.name;
  parts.cohost = action('', (button) => act('cohost', button, { on: parts.member.role !== 'COHOST' }), 'quiet cohost');
  parts.transfer = action('Make host', (button) => ask(button, `Make ${name()} host in your place?`,
    (yes) => act('transfer', yes)), 'quiet transfer');
  parts.mute = make('div', { class: 'mute' }, make('span', { 'aria-hidden': 'true' }, 'Mute for'));
  parts.actions.append(parts.mute);
  parts.mutes = MUTES.map(([seconds, label]) => {
    const run = (button) => act('mute', button, seconds === null ? {} : { seconds });
    const button = action(label, run, `quiet mute-${seconds ?? 'on'}`, parts.mute);
    button.setAttribute('aria-label', `Mute for ${label}`);
    return button;
  });
  parts.unmute = action('Let them chat', (button) => act('unmute', button), 'quiet unmute');
  parts.erase = action('Take back all messages', (button) => ask(button, `Take back all that ${name()} has said?`,
    (yes) => act('erase', yes)), 'quiet erase');
  parts.report = action('Report', report, 'quiet report');
  parts.ban = action('Ban', (button) => ask(button, `Ban ${name()}?`, (yes) => act('ban', yes)), 'quiet bad ban');
  parts.kick.addEventListener('click', () => act('kick', parts.kick));
  parts.more.addEventListener('click', toggle);
  parts.item = make('li', { 'data-user-id': id }, parts.face,
    make('span', { class: 'who' }, parts.name, parts.you, parts.role, parts.silent, parts.slow),
    parts.more, parts.kick, parts.actions);
  return parts;
}

/**
 * Whether there is anything behind "More" about somebody.
 *
 * @param {import('/streamit.js').Room} room
 * @param {import('/streamit.js').Member} member
 */
export const hasMore = (room, { id, role }) => id !== room.you?.id && DEEDS.some((deed) => may(deed, room, id, role));

/**
 * Brings a row to how somebody is now.
 *
 * @param {ReturnType<typeof personRow>} parts
 * @param {import('/streamit.js').Member} member
 * @param {import('/streamit.js').Room} room
 * @param {{isOpen: boolean, isMuted: boolean, isLoading: boolean}} now
 */
export function fillPerson(parts, member, room, { isOpen, isMuted, isLoading }) {
  const { id, name, role } = member;
  parts.member = member;
  write(parts.face, [...name][0]?.toUpperCase() ?? '');
  write(parts.name, name);
  show(parts.you, id === room.you?.id);
  const [label, badge] = ROLES[role] ?? ['', 'badge'];
  write(parts.role, label);
  parts.role.className = badge;
  show(parts.role, label !== '');
  show(parts.slow, isLoading);
  show(parts.silent, isMuted && isInCharge(room));
  const mayDo = (deed) => may(deed, room, id, role);
  show(parts.kick, mayDo('kick'));
  show(parts.more, hasMore(room, member));
  parts.kick.setAttribute('aria-label', `Remove ${name}`);
  parts.kick.title = `Remove ${name} for ten minutes`;
  parts.more.setAttribute('aria-label', `More about ${name}`);
  parts.more.title = 'More';
  parts.more.setAttribute('aria-expanded', String(isOpen));
  const held = document.activeElement;
  show(parts.actions, isOpen);
  write(parts.cohost, role === 'COHOST' ? 'No longer co-host' : 'Make co-host');
  for (const deed of ['cohost', 'transfer', 'erase', 'ban', 'report']) show(parts[deed], mayDo(deed));
  show(parts.mute, !isMuted && mayDo('mute'));
  show(parts.unmute, isMuted && mayDo('unmute'));
  // Whoever held what is gone now holds what has taken its place.
  if (parts.mutes.includes(held) && parts.mute.hidden) parts.unmute.focus();
  else if (held === parts.unmute && held.hidden) parts.mutes[0].focus();
}
