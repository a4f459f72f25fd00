/**
 * The film and its controls: what is watched, the host's remote, everybody's own sound and size of the picture.
 *
 * @module film
 */
import { $, attempt, clockTime, reface, show, toast, write } from './dom.js';
import { Steps, retryIn } from './steps.js';
import { now } from './store.js';
import { ofAll } from './whoami.js';

/** What the room is told is being watched when it is the film that the server brings along. */
const SAMPLE = { provider: 'streamit', video_id: 'sample', title: 'The sample film' };
const SAMPLE_AT = '/sample.mp4';
/** How far an arrow key goes, in seconds. */
const STEP_S = 5;
/** In full screen the controls go after so long without a move. */
const STILL_MS = 2_500;

/** Where a player finds what the room watches; null when there is nothing it could play. */
export function addressOf(source) {
  if (source?.video_provider === SAMPLE.provider && source.video_id === SAMPLE.video_id) return SAMPLE_AT;
  return source?.url ?? null;
}

/** Whether a text is the address of something that may be a film. */
export function isAddress(text) {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
}

/** What it is called: its title, or the last part of its address. */
export function titleOf(source) {
  if (!source) return '';
  if (source.title) return source.title;
  if (!source.url) return source.video_id ?? '';
  try {
    const { pathname, hostname } = new URL(source.url);
    return decodeURIComponent(pathname.split('/').filter(Boolean).at(-1) ?? hostname);
  } catch {
    return source.url;
  }
}

/** Why a film can't be played by this browser, before it is tried; null when it may be. */
export function hindrance(film, address, here = location.href) {
  if (!URL.canParse(address, here) || !isAddress(new URL(address, here).href)) {
    return 'This film is not on the web: this page may not load it.';
  }
  const url = new URL(address, here);
  const isList = /\.m3u8$/i.test(url.pathname);
  if (isList && film.canPlayType('application/vnd.apple.mpegurl') === '') {
    return 'This film comes as HLS, which this browser does not play by itself. Safari does, and so do phones.';
  }
  if (here.startsWith('https:') && url.protocol === 'http:') {
    return 'This film is on an address without TLS, from which this page may not load.';
  }
  return null;
}

/** Why the stage is empty. */
function nothingOn(room) {
  if (room.source) return 'What this room watches can’t be shown on this page.';
  return `${room.host || 'The host'} has not picked a film yet.`;
}

/** What a media error means. */
function complaint(film) {
  if (film.error?.code === MediaError.MEDIA_ERR_NETWORK) return 'The film stopped loading. Is the network there?';
  if (film.error?.code === MediaError.MEDIA_ERR_DECODE) return 'This browser can’t decode the film.';
  return 'This film can’t be played here: the address does not answer, or the browser does not know its format.';
}

/**
 * Runs film and controls of the room in `store` until the function that it returns is called.
 *
 * @param {import('./store.js').Store} store
 * @param {import('/streamit.js').StreamIt} api
 */
export function showFilm(store, api) {
  const { room, drift, code } = store.state;
  const [film, stage, seek, volume] = ['film', 'stage', 'seek', 'volume'].map($);
  const stopping = new AbortController();
  const on = (target, name, act) => target.addEventListener(name, act, { signal: stopping.signal });
  let address = null;
  let isDragging = false;
  let still;
  let [tries, retry] = [0, undefined];

  // --- what is watched

  function load() {
    const wanted = addressOf(room.source);
    if (wanted === address) return;
    address = wanted;
    tries = 0;
    clearTimeout(retry);
    if (!wanted) {
      store.set({ filmError: null });
      film.removeAttribute('src');
      film.load();
      return;
    }
    const filmError = hindrance(film, wanted);
    // What is drawn before the film must hear of it, too.
    store.set({ filmError });
    if (filmError) film.removeAttribute('src');
    else film.src = wanted;
    film.load();
  }

  on(film, 'error', () => {
    if (!film.getAttribute('src')) return;
    store.set({ filmError: complaint(film) });
    const pause = retryIn(film.error?.code, tries);
    clearTimeout(retry);
    if (pause !== null) retry = setTimeout(loadAgain, pause);
  });
  on(film, 'loadedmetadata', () => store.set({ filmError: null }));
  on(film, 'playing', () => {
    tries = 0;
  });

  /** What failed may be there by now. */
  function loadAgain() {
    clearTimeout(retry);
    if (!film.error) return;
    tries += 1;
    film.load();
  }
  on(window, 'online', loadAgain);
  for (const name of ['ended', 'seeked']) on(film, name, () => store.set());

  async function choose(source) {
    // First to the start, and stopped: the new film must not begin where the last one was.
    room.pause(0);
    await api.call('POST', '/api/rooms/source/', { code, ...source });
    store.set({ isPicking: false });
    loadAgain(); // it may be the same one
  }
  on($('use-sample'), 'click', (event) => attempt(event.currentTarget, $('source-error'), () => choose(SAMPLE)));
  on($('picker'), 'submit', (event) => {
    event.preventDefault();
    const url = $('source-url').value.trim();
    if (url === '') return;
    // Found out before the film stops that everybody is watching.
    if (!isAddress(url)) return write($('source-error'), 'The address of a film begins with https:// or http://.');
    attempt($('set-source'), $('source-error'), async () => {
      await choose({ url });
      $('source-url').value = '';
    });
  });
  const pick = (isPicking) => {
    store.set({ isPicking });
    if (isPicking) queueMicrotask(() => $('use-sample').focus());
    else $('picker-open').focus();
  };
  on($('picker-open'), 'click', () => pick(!store.state.isPicking));
  on($('picker-close'), 'click', () => pick(false));
  on($('picker'), 'keydown', (event) => {
    if (event.key === 'Escape' && store.state.isPicking) pick(false);
  });

  // --- the remote

  const position = () => (Number.isFinite(film.currentTime) ? film.currentTime : 0);
  const canSteer = () => room.mayControl && room.status === 'open' && address !== null;
  // At its end a film stands, though the room's time goes on, and begins anew.
  const isRunning = () => (room.playback?.is_playing === true || room.playback?.held === true) && !film.ended;
  const play = () => (film.ended ? room.play(0) : room.play());
  const toggle = () => (isRunning() ? room.pause() : play());
  const steps = new Steps((to) => canSteer() && room.seek(to), {
    now, setTimeout: (...timer) => setTimeout(...timer), clearTimeout: (timer) => clearTimeout(timer),
  });
  const jump = (seconds) => steps.go(seconds, position(), Number.isFinite(film.duration) ? film.duration : Infinity);
  on($('play'), 'click', play);
  on($('pause'), 'click', () => room.pause());
  on(seek, 'input', () => {
    isDragging = true;
    tick();
  });
  on(seek, 'change', () => {
    isDragging = false;
    if (canSteer()) room.seek(Number(seek.value));
  });
  on(seek, 'blur', () => {
    isDragging = false;
  });
  on(seek, 'keydown', (event) => {
    const by = { ArrowLeft: -STEP_S, ArrowDown: -STEP_S, ArrowRight: STEP_S, ArrowUp: STEP_S }[event.key];
    if (!by || !canSteer()) return;
    event.preventDefault();
    jump(by);
  });

  // --- one's own

  function setSound(change) {
    Object.assign(film, change);
    ofAll.setItem('streamit.volume', String(film.muted ? 0 : film.volume));
  }
  on($('mute'), 'click', () => {
    if (drift.isMutedStart) drift.unblock();
    else setSound({ muted: !film.muted, volume: film.volume || 1 });
  });
  on(volume, 'input', () => setSound({ volume: Number(volume.value), muted: Number(volume.value) === 0 }));
  on(film, 'volumechange', () => tick());
  on($('unblock'), 'click', () => {
    drift.unblock();
    tick();
  });

  const isFull = () => document.fullscreenElement === stage;
  async function full() {
    try {
      if (isFull()) await document.exitFullscreen();
      else if (stage.requestFullscreen) await stage.requestFullscreen();
      else film.webkitEnterFullscreen?.();
    } catch {
      toast('The browser does not allow full screen here.');
    }
  }
  on($('fullscreen'), 'click', full);
  on(film, 'dblclick', full);
  on(document, 'fullscreenchange', () => tick());
  const stir = () => {
    stage.classList.remove('still');
    clearTimeout(still);
    still = setTimeout(() => stage.classList.add('still'), STILL_MS);
  };
  for (const name of ['pointermove', 'keydown', 'pointerdown']) on(stage, name, stir);

  on(document, 'keydown', (event) => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (target.closest('input, textarea, select, dialog, summary')) return;
    // There the space bar has a meaning of its own: it presses, or turns the page.
    if (key === ' ' && target.closest('button, a, [role=log]')) return;
    if (key === 'm') $('mute').click();
    else if (key === 'f') full();
    else if (!canSteer()) return;
    else if (key === ' ' || key === 'k') toggle();
    else if (key === 'ArrowLeft') jump(-STEP_S);
    else if (key === 'ArrowRight') jump(STEP_S);
    else return;
    event.preventDefault();
  });

  // --- what is seen

  function tick() {
    const { duration } = film;
    const end = Number.isFinite(duration) && duration > 0 ? duration : 0;
    if (Number(seek.max) !== end) seek.max = end;
    if (!isDragging) seek.value = Math.min(position(), end);
    const at = Number(seek.value);
    seek.style.setProperty('--done', end > 0 ? `${(at / end) * 100}%` : '0%');
    seek.setAttribute('aria-valuetext', `${clockTime(at)} of ${clockTime(end)}`);
    write($('time'), clockTime(at));
    write($('duration'), clockTime(duration || NaN));
    const isSilent = film.muted || film.volume === 0;
    reface($('mute'), isSilent ? 'silent' : 'sound', isSilent ? 'Turn the sound on' : 'Mute',
      isSilent ? 'Turn the sound on (m)' : 'Mute (m)');
    volume.value = isSilent ? 0 : film.volume;
    volume.style.setProperty('--done', `${volume.value * 100}%`);
    reface($('fullscreen'), isFull() ? 'unfull' : 'full', isFull() ? 'Leave full screen' : 'Full screen',
      isFull() ? 'Leave full screen (f)' : 'Full screen (f)');
    drawUnblock();
  }

  /** What a browser that refuses sound, or all of it, wants a click for. */
  function drawUnblock() {
    const isBlocked = drift.state === 'blocked';
    const isMuted = drift.isMutedStart && !isBlocked;
    // By a key of the keyboard or the headphones: the room goes on without this player.
    const isAside = drift.state === 'paused' && room.playback?.is_playing === true && room.status === 'open';
    show($('unblock'), isMuted || isBlocked || isAside);
    $('unblock').classList.toggle('sound', isMuted);
    $('unblock').querySelector('use').setAttribute('href', isMuted ? '#i-silent' : '#i-play');
    write($('unblock-what'), isMuted ? 'Turn the sound on' : 'Join the film');
    write($('unblock-why'), isMuted ? 'Your browser muted it.'
      : isAside ? 'It is paused for you alone.' : 'Your browser waits for a click before it plays.');
  }

  const unwatch = store.watch((state) => {
    if (state.room !== room) return;
    load();
    const [mayControl, isOpen] = [room.mayControl, room.status === 'open'];
    const isHost = room.you?.id === room.hostId && room.you !== null;
    const isPlaying = isRunning();
    const held = document.activeElement;
    show($('play'), mayControl && !isPlaying);
    show($('pause'), mayControl && isPlaying);
    for (const id of ['play', 'pause']) $(id).disabled = !isOpen || address === null;
    seek.disabled = !mayControl || !isOpen || address === null;
    const isEmpty = isOpen && address === null;
    const isPicking = isHost && isOpen && (state.isPicking || isEmpty);
    show($('picker'), isPicking);
    // Whoever held what is gone now holds what has taken its place.
    const isLost = (held === $('play') && isPlaying) || (held === $('pause') && !isPlaying)
      || (!isPicking && $('picker').contains(held));
    if (isLost && mayControl) $(isPlaying ? 'pause' : 'play').focus();
    show($('picker-close'), address !== null);
    show($('picker-open'), isHost && address !== null);
    show($('empty-stage'), isEmpty && !isPicking);
    write($('empty-text'), isEmpty && !isPicking ? nothingOn(room) : '');
    write($('film-title'), titleOf(room.source));
    write($('remote'), mayControl || address === null ? '' : `${room.host || 'The host'} has the remote`);
    tick();
  });

  const kept = Number(ofAll.getItem('streamit.volume') ?? 1);
  film.volume = kept > 0 ? kept : 1;
  film.muted = kept === 0;
  const timer = setInterval(tick, 250);
  return () => {
    unwatch();
    stopping.abort();
    clearInterval(timer);
    clearTimeout(still);
    clearTimeout(retry);
    steps.stop();
    if (isFull()) document.exitFullscreen().catch(() => {});
    film.removeAttribute('src');
    film.load();
  };
}
