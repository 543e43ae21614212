"use strict";

// The scopes of all shipped specs, held to what the compiler says of their words.

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const path = require("node:path");
const { before, test } = require("node:test");
const oniguruma = require("vscode-oniguruma");
const textmate = require("vscode-textmate");

const root = path.join(__dirname, "..", "..", "..");
const python = process.env.ARCHSPEC_PYTHON ?? path.join(root, ".venv", "bin", "python");
const skip = fs.existsSync(python) || process.env.CI ? false : "archspec is not installed in .venv";

const SCOPES = {
  argument: /^variable\.parameter/,
  block: /^storage\.type\.block/,
  comment: /^comment\.line/,
  constant: /^constant\.language/,
  def: /^storage\.type\.function/,
  defined: /^entity\.name\.type/,
  docstring: /^string\.quoted\.docstring/,
  figure: /^constant\.numeric\.figure/,
  flow: /^keyword\.control\.flow/,
  input: /^storage\.type\.input/,
  label: /^entity\.name\.label/,
  model: /^storage\.type\.model/,
  number: /^constant\.numeric/,
  own: /^storage\.type\.own/,
  parameter: /^variable\.parameter/,
  quantity: /^support\.type\.property-name/,
  string: /^string\.quoted/,
  type: /^support\.type/,
};

let grammar;
before(async () => {
  const wasm = fs.readFileSync(require.resolve("vscode-oniguruma/release/onig.wasm"));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (text) => new oniguruma.OnigString(text),
    }),
    loadGrammar: async () => {
      const file = path.join(__dirname, "..", "syntaxes", "arch.tmLanguage.json");
      return textmate.parseRawGrammar(fs.readFileSync(file, "utf-8"), file);
    },
  });
  grammar = await registry.loadGrammar("source.arch");
});

/** The scopes of each character of a text, and how many rules are open at its end. */
function scopes(text) {
  const found = [];
  let state = textmate.INITIAL;
  for (const line of text.split("\n")) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    for (const token of tokens) {
      for (let at = token.startIndex; at < Math.min(token.endIndex, line.length); at++) found.push(token.scopes);
    }
    found.push(["line feed"]);
    state = ruleStack;
  }
  return { found, depth: state.depth };
}

function specs(folder) {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const file = path.join(folder, entry.name);
    return entry.isDirectory() ? specs(file) : file.endsWith(".arch") ? [file] : [];
  });
}

test("each word of each shipped spec has the scope of what it is", { skip }, () => {
  const files = [...specs(path.join(root, "specs")), path.join(__dirname, "constructs.arch")];
  assert.ok(files.length > 150);
  const told = execFileSync(python, [path.join(root, "tests", "editors", "told.py"), ...files], { cwd: root, maxBuffer: 2 ** 28 });
  let words = 0;
  for (const [file, list] of Object.entries(JSON.parse(told))) {
    const text = fs.readFileSync(file, "utf-8");
    const { found, depth } = scopes(text);
    assert.ok(depth <= 2, `${file} leaves ${depth} rules open`);
    for (const all of found) assert.ok(!all.some((scope) => scope.startsWith("invalid")), file);
    const places = [...text]; // offsets count characters, not their halves
    let unit = 0;
    const units = places.map((character) => (unit += character.length) - character.length);
    for (const [start, length, kind] of list) {
      for (const at of [units[start], units[start + length - 1]]) {
        if (found[at][0] === "line feed") continue;
        words++;
        const line = text.slice(0, at).split("\n").length;
        const word = places.slice(start, start + length).join("");
        assert.ok(
          found[at].some((scope) => SCOPES[kind].test(scope)),
          `${path.relative(root, file)}:${line}: ${word} is a ${kind}, and has ${found[at].join(" ")}`,
        );
      }
    }
  }
  assert.ok(words > 20_000, `${words} words`);
});
