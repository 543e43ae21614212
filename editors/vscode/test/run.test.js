"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");
const { run } = require("../source/run");

const node = { command: process.execPath, args: ["-e"] };

test("a program's status and both its streams are told", async () => {
  const script = "process.stdout.write(process.argv[1]); process.stderr.write('e'); process.exitCode = 3";
  assert.deepEqual(await run(node, [script, "; $HOME"]), { code: 3, out: "; $HOME", err: "e" });
});

test("colours are off", async () => {
  assert.equal((await run(node, ["process.stdout.write(process.env.NO_COLOR)"])).out, "1");
});

test("a program that is not there is told, not thrown", async () => {
  const { code, err } = await run({ command: "/no/such/program", args: [] }, []);
  assert.equal(code, null);
  assert.match(err, /ENOENT/);
});

test("one that takes too long, or is not wanted any more, is stopped", async () => {
  const forever = ["setInterval(() => {}, 1000)"];
  assert.equal((await run(node, forever, { timeout: 100 })).code, null);
  const stop = new AbortController();
  const stopped = run(node, forever, { signal: stop.signal });
  stop.abort();
  assert.equal((await stopped).code, null);
});
