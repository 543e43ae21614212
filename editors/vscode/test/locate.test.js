"use strict";

const assert = require("node:assert/strict");
const path = require("node:path");
const { test } = require("node:test");
const { locate, programs } = require("../source/locate");

const machine = (there, more = {}) => ({ platform: "linux", exists: (file) => there.includes(file), ...more });
const nothing = { command: "", python: "" };
const help = "  A SPEC is the path of an .arch file\n  lsp   Serve an editor";

test("what stands in the settings is taken, and nothing else", () => {
  const found = programs({ command: "/a/archspec", python: "/b/python" }, ["/f"], machine(["/f/.venv/bin/python"]));
  assert.deepEqual(found, [{ command: "/a/archspec", args: [], origin: "archspec.command" }]);
  const [python] = programs({ command: "", python: "${workspaceFolder}/env/python" }, ["/f"], machine([]));
  assert.deepEqual(python, { command: "/f/env/python", args: ["-m", "archspec"], origin: "archspec.python" });
});

test("else the chosen interpreter, the environments of the folders, then the PATH", () => {
  const there = ["/f/.venv/bin/python", "/g/venv/bin/python"].map(path.normalize);
  const found = programs(nothing, ["/f", "/g"], machine(there, { interpreter: "/chosen" }));
  assert.deepEqual(found.map((program) => program.command), ["/chosen", ...there, "archspec"]);
  assert.deepEqual(programs(nothing, [], machine(there)).map((program) => program.command), ["archspec"]);
});

test("Windows has other names", () => {
  const asked = [];
  const exists = (file) => asked.push(file) > 0;
  const found = programs(nothing, ["C:\\f"], { platform: "win32", exists });
  assert.ok(asked.every((file) => file.endsWith("python.exe")));
  assert.equal(found.at(-1).command, "archspec.exe");
});

test("the first that is archspec is taken, and not the other project of that name", async () => {
  const answers = {
    missing: { code: null, out: "", err: "spawn missing ENOENT" },
    cpus: { code: 0, out: "usage: archspec [-h] [--version] {cpu}", err: "" },
    ours: { code: 0, out: help, err: "" },
  };
  const run = async ({ command }) => answers[command];
  const candidates = ["missing", "cpus", "ours"].map((command) => ({ command, args: [], origin: command }));
  const { program, message } = await locate(candidates, run);
  assert.equal(program.command, "ours");
  assert.equal(message, undefined);

  const none = await locate(candidates.slice(0, 2), run);
  assert.equal(none.program, undefined);
  assert.match(none.message, /missing \(spawn missing ENOENT\); cpus \(another program of that name\)/);
  assert.match(none.message, /pip install 'archspec-nn\[lsp\]'/);
});

test("one without the language server still draws", async () => {
  const old = { code: 0, out: "A SPEC is the path of an .arch file\n  draw  Draw", err: "" };
  const { program, message } = await locate([{ command: "old", args: [], origin: "PATH" }], async () => old);
  assert.equal(program.command, "old");
  assert.match(message, /too old/);
});
