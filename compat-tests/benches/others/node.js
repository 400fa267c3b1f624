// Node's thread-safe function: `node node.js ADDON ITEMS TRIPS`. Does all twice and prints the second, which is warm, as measure.lua does.
"use strict";

const [file, items, trips] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const addon = require(file);
const wantedBytes = [4, 5, 5, 8, 4, 11, 5, 3];

let count, sum, bytes, wanted, done;

// Node would go on after an error that a callback of an addon throws.
function fail(message) {
  console.error(message);
  process.exit(1);
}

function receive(at, text) {
  count++;
  if (at !== count) fail(`item ${at} came as number ${count}`);
  sum += at;
  bytes += text.length;
  if (count === wanted) done();
  return at;
}

const pause = () => new Promise((resolve) => setTimeout(resolve, 1));

// Nanoseconds until all have come, and what the thread reports.
async function measure(number, asks) {
  [count, sum, bytes, wanted] = [0, 0, 0, number];
  const all = new Promise((resolve) => (done = resolve));
  const start = process.hrtime.bigint();
  let took;
  const end = all.then(() => (took = process.hrtime.bigint() - start));
  addon.start(receive, number, asks);
  await end;
  let report;
  while ((report = addon.finish()) === "") await pause();
  let expected = 0;
  for (let at = 1; at <= number; at++) expected += wantedBytes[at % 8];
  if (count !== number || sum !== (number * (number + 1)) / 2 || bytes !== expected)
    throw new Error(`${count} items of ${sum} and ${bytes} bytes came`);
  return [Number(took), report];
}

async function main() {
  for (let round = 0; round < 2; round++) {
    const [took, taken] = await measure(items, false);
    if (taken !== "taken") throw new Error(taken);
    const [, report] = await measure(trips, true);
    const figures = report.match(/^(\d+) (\d+)$/);
    if (!figures) throw new Error(report);
    if (round === 1) console.log(`item|${took / items}\np50|${figures[1]}\np99|${figures[2]}`);
  }
}

main().catch(fail);
