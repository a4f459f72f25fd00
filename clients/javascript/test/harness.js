/**
 * What the tests are written with. In Node it is node:test; in a browser, a list that `index.html` runs.
 */

const isNode = globalThis.process?.versions?.node !== undefined && globalThis.document === undefined;

/** The tests of a browser, in order. @type {{name: string, body: () => unknown}[]} */
export const tests = [];

/** Adds a test. @type {(name: string, body: () => unknown) => void} */
export const test = isNode
  ? (await import('node:test')).test
  : (name, body) => { tests.push({ name, body }); };

/** What a file beside the tests holds. @type {(url: URL) => Promise<string>} */
export const readText = isNode
  ? async (url) => (await import('node:fs/promises')).readFile(url, 'utf8')
  : async (url) => (await fetch(url)).text();

const show = (value) => {
  try {
    return typeof value === 'number' ? String(value) : JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
};

function fail(what, why) {
  throw new Error(why ? `${why}: ${what}` : what);
}

/** Whether two plain values are alike, whatever the order of their keys. */
function alike(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && alike(a[key], b[key]));
}

export const assert = {
  ok(value, why) {
    if (!value) fail(`${show(value)} is not true`, why);
  },
  equal(actual, expected, why) {
    if (!alike(actual, expected)) fail(`${show(actual)} instead of ${show(expected)}`, why);
  },
  near(actual, expected, within, why) {
    if (!(Math.abs(actual - expected) <= within)) fail(`${actual} is not within ${within} of ${expected}`, why);
  },
  async rejects(promise, check, why) {
    try {
      await promise;
    } catch (error) {
      check?.(error);
      return;
    }
    fail('it went well', why);
  },
};

/** Numbers that look random and are the same each time. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
