"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const { Following } = require("../source/following");

test("wishes in a row are one", async () => {
  let done = 0;
  const following = new Following(async () => void done++, 5);
  for (let i = 0; i < 10; i++) following.wish();
  await pause(50);
  assert.equal(done, 1);
});

test("a new wish stops the work at hand, and waits for its end", async () => {
  const events = [];
  let release;
  const following = new Following(async (signal) => {
    const number = events.filter((event) => event.startsWith("start")).length;
    events.push(`start ${number}`);
    if (number === 0) await new Promise((resolve) => (release = resolve));
    events.push(`end ${number} ${signal.aborted}`);
  }, 1);
  following.wish();
  await pause(20);
  following.wish();
  await pause(20);
  assert.deepEqual(events, ["start 0"]);
  release();
  await pause(20);
  assert.deepEqual(events, ["start 0", "end 0 true", "start 1", "end 1 false"]);
});

test("nothing is done once it is closed", async () => {
  let done = 0;
  const following = new Following(async () => void done++, 5);
  following.wish();
  following.close();
  following.wish();
  await pause(30);
  assert.equal(done, 0);
});
