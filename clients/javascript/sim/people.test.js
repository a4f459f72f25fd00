import assert from 'node:assert/strict';
import test from 'node:test';

import { PROMISES } from './promises.js';
import { comingsBack } from './scenarios/hidden.js';
import { hostsAtThePlayer } from './scenarios/host.js';
import { lateJoiners } from './scenarios/late.js';
import { nodeChanges } from './scenarios/nodes.js';
import { refusals } from './scenarios/refusal.js';
import { assertKept, SEEDS } from './support.js';

test('who comes late is there three seconds after the player can play, and disturbs nobody', async (t) => {
  const found = await lateJoiners({ seeds: SEEDS });

  assertKept(t, PROMISES.late, found.map(({ away }) => away));
  assert.ok(found.every(({ seeks, disturbed }) => seeks <= 1 && !disturbed));
});

test('three seconds after the host used the controls of the player all are where the host is', async (t) => {
  const found = await hostsAtThePlayer({ seeds: SEEDS });

  assertKept(t, PROMISES.afterCommand, found.flatMap(({ aways }) => aways));
  // Each deed is one command, and nothing that the library itself does to a player becomes one.
  assert.ok(found.every(({ actions, commands }) => commands === actions));
});

test('a hidden tab that comes back is soon where the others are', async (t) => {
  const found = await comingsBack({ seeds: SEEDS });

  assertKept(t, PROMISES.afterHidden, found.map(({ away }) => away));
  assert.ok(found.every(({ seeks }) => seeks <= 1));
});

test('a browser that refuses to play is told so, and a click puts the film where the others are', async (t) => {
  const found = await refusals({ seeds: SEEDS });

  assert.ok(found.every(({ before }) => before.state === 'blocked'));
  assertKept(t, PROMISES.afterClick, found.map(({ after }) => after.away));
});

test('a page that would rather begin without sound is in time before the click, and has its sound after it', async (t) => {
  const found = await refusals({ seeds: SEEDS, mutedStart: true });

  assertKept(t, PROMISES.afterClick, found.map(({ before }) => before.away));
  assertKept(t, PROMISES.afterClick, found.map(({ after }) => after.away));
  assert.ok(found.every(({ before, after }) => before.isMuted && !after.isMuted));
});

test('another node disturbs nobody: no jump, no stop, and as near as before', async () => {
  const found = await nodeChanges({ seeds: SEEDS });

  assert.ok(found.every(({ seeks, stops }) => seeks === 0 && stops === 0));
  // The other node's clock is 3 ms off, and the film goes on drifting meanwhile: 30 s of 400 millionths are 12 ms.
  assert.ok(found.every(({ before, after }) => after <= before + 3 + 12 + 5));
});
