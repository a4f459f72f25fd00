/** Runs all tests in a browser. `window.results` and the title of the page tell how it went. */
import { tests } from './harness.js';

const FILES = ['clock', 'drift', 'player', 'chance', 'room', 'session', 'readme'];

for (const file of FILES) await import(`./${file}.test.js`);

const results = { passed: 0, failed: [], isDone: false };
window.results = results;
const list = document.getElementById('list');
for (const { name, body } of tests) {
  const item = document.createElement('li');
  item.textContent = name;
  list.append(item);
  try {
    await body();
    results.passed += 1;
  } catch (error) {
    results.failed.push({ name, why: String(error?.stack ?? error) });
    item.className = 'failed';
    item.append(document.createElement('pre'));
    item.lastChild.textContent = String(error?.stack ?? error);
  }
}
results.isDone = true;
document.title = results.failed.length ? `${results.failed.length} failed` : `${results.passed} passed`;
