"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const { test } = require("node:test");
const vm = require("node:vm");
const { locate } = require("../source/locate");
const { draw, page } = require("../source/picture");
const { run } = require("../source/run");

const root = path.join(__dirname, "..", "..", "..");
const python = process.env.ARCHSPEC_PYTHON ?? path.join(root, ".venv", "bin", "python");
const archspec = { command: python, args: ["-m", "archspec"], origin: "the test" };
const skip = fs.existsSync(python) || process.env.CI ? false : "archspec is not installed in .venv";

test("archspec is found for what it is", { skip }, async () => {
  assert.equal((await locate([archspec], run)).program, archspec);
});

test("a spec becomes a picture, a wrong one a message", { skip }, async () => {
  const how = { view: "overview", dark: true };
  const { svg, message } = await draw(archspec, path.join(root, "specs", "lenet5.arch"), how, run);
  assert.equal(message, undefined);
  assert.match(svg.toString(), /<svg[^]*<\/svg>/);

  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "archspec-test-"));
  const wrong = path.join(folder, "wrong.arch");
  fs.writeFileSync(wrong, "model Net:\n    input x: [3, 8]\n    return x -> Linaer(3)\n");
  const told = await draw(archspec, wrong, how, run);
  assert.equal(told.svg, undefined);
  assert.match(told.message, /Linear/);
  assert.deepEqual(fs.readdirSync(folder), ["wrong.arch"]);
  fs.rmSync(folder, { recursive: true });
});

test("the page allows its own script and style, images as data, and nothing else", () => {
  const html = page("abc");
  const policy = /content="([^"]*)"/.exec(html)[1];
  assert.equal(policy, "default-src 'none'; img-src data:; style-src 'nonce-abc'; script-src 'nonce-abc'");
  assert.doesNotMatch(html, /innerHTML|\son\w+=|javascript:|https?:/);
});

/** The page's script, run with elements that are only remembered. */
function opened() {
  const elements = {};
  for (const id of ["picture", "message"]) {
    const classes = new Set();
    elements[id] = {
      hidden: true,
      classes,
      classList: { toggle: (name, on = !classes.has(name)) => (on ? classes.add(name) : classes.delete(name)) },
      addEventListener: (_, heard) => (elements[id].click = heard),
    };
  }
  const sent = [];
  let receive;
  vm.runInNewContext(/<script[^>]*>([^]*)<\/script>/.exec(page("abc"))[1], {
    document: { getElementById: (id) => elements[id] },
    window: { addEventListener: (_, heard) => (receive = heard) },
    acquireVsCodeApi: () => ({ postMessage: (message) => sent.push(message) }),
  });
  return { ...elements, sent, send: (data) => receive({ data }) };
}

test("the page says that it is ready, shows pictures, and keeps the last one under a message", () => {
  const { picture, message, sent, send } = opened();
  assert.deepEqual(sent, ["ready"]);
  send({ svg: "QQ==", title: "Picture of net.arch" });
  assert.equal(picture.src, "data:image/svg+xml;base64,QQ==");
  assert.equal(picture.alt, "Picture of net.arch");
  assert.ok(!picture.hidden && message.hidden && !picture.classes.has("stale"));
  send({ message: "<b>wrong</b>" });
  assert.equal(message.textContent, "<b>wrong</b>");
  assert.ok(!picture.hidden && !message.hidden && picture.classes.has("stale"));
  send({ svg: "QQ==", title: "" });
  assert.ok(message.hidden && !picture.classes.has("stale"));
  picture.click();
  assert.ok(picture.classes.has("large"));
});
