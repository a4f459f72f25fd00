/**
 * The proof on screen: how far this player is from the room, and how sure the clock is of that.
 *
 * @module panel
 */
import { $, show, write } from './dom.js';
import { ofAll } from './whoami.js';

const OPEN = 'streamit.panel';
const STEP_MS = 250;
/** A minute of them. */
const KEPT = 240;
/** One frame at 25 a second. */
const FRAME_MS = 40;

const STATES = {
  idle: 'no film', loading: 'loading', waiting: 'waiting to start', playing: 'playing', correcting: 'catching up',
  seeking: 'seeking', paused: 'paused', blocked: 'waits for a click', buffering: 'buffering', ended: 'at the end',
};

const signed = (ms, digits = 0) => {
  const text = Math.abs(ms).toFixed(digits);
  if (Number(text) === 0) return text;
  return `${ms < 0 ? '−' : '+'}${text}`;
};
/** A clock that is off by hours is told in hours: nobody reads milliseconds then. */
const span = (ms) => {
  if (Math.abs(ms) < 10_000) return `${signed(ms, 1)} ms`;
  if (Math.abs(ms) < 600_000) return `${signed(ms / 1000, 1)} s`;
  return `${signed(ms / 3_600_000, 2)} h`;
};

/**
 * Draws the panel of the room in `store` until the function that it returns is called.
 *
 * @param {import('./store.js').Store} store
 */
export function showPanel(store) {
  const { room, drift } = store.state;
  const [panel, toggle, line] = ['panel', 'panel-toggle', 'drift-line'].map($);
  const cell = Object.fromEntries([...panel.querySelectorAll('[data-sync]')].map((e) => [e.dataset.sync, e]));
  const past = [];
  const stopping = new AbortController();

  /** The text for people, the number for whoever measures. */
  const put = (name, text, value) => {
    write(cell[name], text);
    if (Number.isFinite(value)) cell[name].dataset.value = value;
    else delete cell[name].dataset.value;
  };

  function draw() {
    const off = drift.drift * 1000;
    const runs = ['playing', 'correcting'].includes(drift.state);
    past.push(runs ? off : NaN);
    if (past.length > KEPT) past.shift();
    toggle.toggleAttribute('data-far', runs && Math.abs(off) > 3 * FRAME_MS);
    write($('panel-short'), runs && Number.isFinite(off) ? `${Math.abs(off).toFixed(0)} ms from the room` : 'In sync?');
    if (panel.hidden || document.hidden) return;
    const { clock } = room;
    // The page's own clock counts from its opening: beside the machine's it says something.
    const offset = clock.offset + performance.now() - Date.now();
    put('drift', Number.isFinite(off) ? `${signed(off)} ms` : '–', off);
    put('offset', Number.isFinite(offset) ? span(offset) : 'measuring …', offset);
    put('bound', Number.isFinite(clock.bound) ? `± ${clock.bound.toFixed(1)} ms` : '', clock.bound);
    put('rtt', Number.isFinite(clock.rtt) ? `${clock.rtt.toFixed(1)} ms` : '–', clock.rtt);
    put('node', room.node ?? '–');
    put('state', STATES[drift.state] ?? drift.state);
    cell.state.dataset.value = drift.state;
    drawLine();
  }

  function drawLine() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = line;
    if (line.width !== Math.round(width * scale)) {
      line.width = Math.round(width * scale);
      line.height = Math.round(height * scale);
    }
    const pen = line.getContext('2d');
    const style = getComputedStyle(line);
    // What is beyond is cut off: after one jump the rest would be a flat line for a minute.
    const most = Math.min(Math.max(2 * FRAME_MS, ...past.filter(Number.isFinite).map(Math.abs)), 5 * FRAME_MS);
    const y = (ms) => height / 2 - (ms / most) * (height / 2 - 2);
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = style.getPropertyValue('--well');
    pen.fillRect(0, y(FRAME_MS), width, y(-FRAME_MS) - y(FRAME_MS));
    pen.strokeStyle = style.getPropertyValue('--line');
    pen.beginPath();
    pen.moveTo(0, y(0));
    pen.lineTo(width, y(0));
    pen.stroke();
    pen.strokeStyle = style.getPropertyValue('--accent');
    pen.lineWidth = 1.75;
    pen.lineJoin = 'round';
    pen.beginPath();
    let isDown = false;
    past.forEach((ms, index) => {
      const x = width - ((past.length - 1 - index) / (KEPT - 1)) * width;
      if (!Number.isFinite(ms)) isDown = false;
      else if (isDown) pen.lineTo(x, y(ms));
      else pen.moveTo(x, y(ms));
      if (Number.isFinite(ms)) isDown = true;
    });
    pen.stroke();
  }

  const open = (isOpen) => {
    show(panel, isOpen);
    toggle.setAttribute('aria-expanded', String(isOpen));
    draw();
  };
  toggle.addEventListener('click', () => {
    open(panel.hidden);
    ofAll.setItem(OPEN, panel.hidden ? 'no' : 'yes');
  }, { signal: stopping.signal });
  const kept = ofAll.getItem(OPEN);
  open(kept ? kept === 'yes' : matchMedia('(min-width: 60rem)').matches);
  const timer = setInterval(draw, STEP_MS);
  return () => {
    clearInterval(timer);
    stopping.abort();
  };
}
