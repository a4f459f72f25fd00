import * as library from '../streamit.js';
import { assert, readText, test } from './harness.js';

test('the page of the README has twenty lines and uses what there is', async () => {
  const readme = await readText(new URL('../README.md', import.meta.url));
  const [, page] = readme.match(/```html\n([\s\S]*?)\n```/);
  assert.equal(page.split('\n').length, 20);
  const [, names] = page.match(/import \{ (.*) \} from '\.\/streamit\.js'/);
  for (const name of names.split(', ')) assert.ok(name in library, name);
});

test('the README names all that the module gives', async () => {
  const readme = await readText(new URL('../README.md', import.meta.url));
  for (const name of Object.keys(library)) assert.ok(readme.includes(`\`${name}\``), name);
});
