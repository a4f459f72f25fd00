/**
 * Prints what the simulator measures as the table of docs/sync.md:
 * `node clients/javascript/sim/figures.js [seeds]`
 */
import { judge, PROMISES } from './promises.js';
import { catchUps } from './scenarios/catchup.js';
import { clockErrors } from './scenarios/clock.js';
import { comingsBack } from './scenarios/hidden.js';
import { hostsAtThePlayer } from './scenarios/host.js';
import { lateJoiners } from './scenarios/late.js';
import { nodeChanges } from './scenarios/nodes.js';
import { lopsidedLine, moodyMachine } from './scenarios/people.js';
import { refusals } from './scenarios/refusal.js';
import { clocksThatAreSet } from './scenarios/settings.js';
import { startSkews, startSkewsOfRegulars } from './scenarios/start.js';
import { steadyDrift } from './scenarios/steady.js';
import { troubledEvenings } from './scenarios/trouble.js';
import { largest, percentile } from './world/measure.js';

const seeds = Number(process.argv[2] ?? 300);

const ms = (value) => `${Math.round(value)} ms`;
const spread = (numbers) => [0.5, 0.95, 0.99].map((share) => ms(percentile(numbers, share))).concat(ms(largest(numbers)));

function row(what, promise, numbers) {
  const told = promise ? Object.entries(promise).map(([name, most]) => `${name === 'p100' ? 'all' : name} ${ms(most)}`) : ['–'];
  if (promise && !judge(promise, numbers).isKept) process.exitCode = 1;
  console.log(`| ${[what, told.join(', '), ...spread(numbers)].join(' | ')} |`);
}

console.log(`Of ${seeds} evenings each.\n`);
console.log('| what | promised | p50 | p95 | p99 | most |\n|---|---|---|---|---|---|');

const start = await startSkews({ seeds });
row('start: two viewers apart, whole evenings', PROMISES.startSkew, [...start.first, ...start.later]);
row('- first start on each machine', PROMISES.firstStartSkew, start.first);
const regulars = await startSkewsOfRegulars({ seeds, plays: 3 });
row('- first start of an evening, on machines that were there before', PROMISES.startSkew, regulars.first);
row('- later starts', PROMISES.startSkew, start.later);
const lopsided = await startSkews({ seeds, line: lopsidedLine });
row('- later starts, lines up to 3 : 1 lopsided', null, lopsided.later);
const moody = await startSkews({ seeds, machine: moodyMachine });
row('- later starts, play() takes 10 to 120 ms at random each time', null, moody.later);
row('- the same, 3 s after the start', PROMISES.afterCommand, moody.settled);
const atOnce = await startSkews({ seeds, server: { isScheduled: false } });
row('- later starts without a common moment', null, atOnce.later);

row('film runs, 20 ms jitter: two viewers apart', PROMISES.driftAt20, (await steadyDrift({ seeds, jitter: 20 })).drifts);
const bad = await steadyDrift({ seeds, jitter: 200, loss: 0.05 });
row('film runs, 200 ms jitter, 5 % loss: two viewers apart', PROMISES.driftAt200, bad.drifts);

row('a second apart: until back in step', PROMISES.catchUp, (await catchUps({ seeds })).map(({ took }) => took));
row('late joiner, 3 s after `canplay`: from the room', PROMISES.late, (await lateJoiners({ seeds })).map(({ away }) => away));
row('3 s after a command of the host: from the room', PROMISES.afterCommand,
  (await hostsAtThePlayer({ seeds })).flatMap(({ aways }) => aways));
row('tab hidden for a minute, 5 s after its return: from the room', PROMISES.afterHidden,
  (await comingsBack({ seeds })).map(({ away }) => away));
row('start refused, 3 s after the click: from the room', PROMISES.afterClick, (await refusals({ seeds })).map(({ after }) => after.away));
const nodes = await nodeChanges({ seeds });
row('half a minute before a node dies: furthest from the room', null, nodes.map(({ before }) => before));
row('half a minute after it: furthest from the room', null, nodes.map(({ after }) => after));
for (const whose of ['viewer', 'server']) {
  row(`system clock of a ${whose} set by an hour: furthest from the room within 30 s`, PROMISES.whileClocksAreSet,
    (await clocksThatAreSet({ seeds, whose })).map(({ away }) => away));
}
const troubled = await troubledEvenings({ seeds });
row('ten minutes of trouble, 40 s after it: from the room', PROMISES.afterTrouble, troubled.map(({ away }) => away));

const looks = await clockErrors({ seeds });
row('room clock: true error', null, looks.map(({ error }) => Math.abs(error)));
row('room clock: stated bound', null, looks.map(({ bound }) => bound));

const gaps = troubled.flatMap(({ seekGaps }) => seekGaps);
console.log(`
- True error outside the stated bound: ${looks.filter(({ error, bound }) => !(Math.abs(error) <= bound)).length} of ${looks.length} looks.
- Shown drift wrong by more than the shown bound, the player's steps and noise: ${bad.untold.filter((much) => much > PROMISES.untoldDrift.p100).length} of ${bad.untold.length} looks.
- Two seeks of a player: never less than ${(Math.min(...gaps) / 1000).toFixed(1)} s apart, of ${gaps.length} seeks.
- Speed: from ${Math.min(...troubled.map(({ slowest }) => slowest))} to ${largest(troubled.map(({ fastest }) => fastest))}.
- Corrections of speed in a minute: p95 ${percentile(bad.corrections, 0.95)} on the worst lines.`);
