"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const Module = require("node:module");
const os = require("node:os");
const path = require("node:path");
const { beforeEach, test } = require("node:test");
const { setTimeout: pause } = require("node:timers/promises");
const manifest = require("../package.json");

const folder = path.join(__dirname, "..");

/** A stand-in for archspec, or for a Python that has it: it knows `--help`, `draw` and `cost`. */
const PROGRAM = `
const words = process.argv.slice(2);
const [command, spec, , file] = words[0] === "-m" ? words.slice(2) : words;
if (command === "--help") console.log("A SPEC is the path of an .arch file\\n  lsp  Serve an editor");
if (command === "draw") require("fs").writeFileSync(file, "<svg>" + require("fs").readFileSync(spec) + "</svg>");
if (command === "cost") console.log("cost of " + spec);
`;

// ---------------------------------------------------------------- VS Code, as much of it as the extension uses

let vscode, said, clients, values;

function event() {
  const heard = new Set();
  const on = (listener) => {
    heard.add(listener);
    return { dispose: () => heard.delete(listener) };
  };
  return { on, fire: (value) => Promise.all([...heard].map((listener) => listener(value))), heard };
}

class Uri {
  constructor(parts) {
    Object.assign(this, parts);
  }
  static file(file) {
    return new Uri({ scheme: "file", path: file, fsPath: file, query: "" });
  }
  static from(parts) {
    return new Uri(parts);
  }
  static parse(text) {
    return Uri.file(text.replace("file://", ""));
  }
  toString() {
    return `${this.scheme}://${this.path}`;
  }
}

function made() {
  const commands = {};
  const saved = event();
  const changed = event();
  return {
    saved,
    changed,
    panels: [],
    providers: {},
    registered: commands,
    Uri,
    EventEmitter: class {
      constructor() {
        const made = event();
        this.event = made.on;
        this.fire = made.fire;
      }
    },
    ViewColumn: { Beside: -2 },
    ColorThemeKind: { Light: 1, Dark: 2, HighContrast: 3, HighContrastLight: 4 },
    extensions: { getExtension: () => undefined },
    env: { clipboard: { writeText: async (text) => said.push(["copied", text]) } },
    commands: {
      registerCommand: (name, action) => {
        commands[name] = action;
        return { dispose() {} };
      },
      executeCommand: async (...command) => said.push(command),
    },
    window: {
      activeTextEditor: undefined,
      activeColorTheme: { kind: 2 },
      onDidChangeActiveColorTheme: event().on,
      showErrorMessage: async (message, ...choices) => {
        said.push(["error", message, choices]);
        return choices[0];
      },
      showInformationMessage: async (message) => void said.push(["information", message]),
      showTextDocument: async (document) => void said.push(["shown", document.uri.path]),
      createWebviewPanel: () => {
        const received = event();
        const disposed = event();
        const panel = {
          received,
          disposed,
          posted: [],
          webview: { html: "", onDidReceiveMessage: received.on, postMessage: async (message) => void panel.posted.push(message) },
          onDidDispose: disposed.on,
        };
        vscode.panels.push(panel);
        return panel;
      },
    },
    workspace: {
      isTrusted: true,
      workspaceFolders: [],
      textDocuments: [],
      getConfiguration: () => ({ get: (name, standard) => values[name] ?? standard }),
      onDidSaveTextDocument: saved.on,
      onDidChangeConfiguration: changed.on,
      onDidGrantWorkspaceTrust: event().on,
      registerTextDocumentContentProvider: (scheme, provider) => {
        vscode.providers[scheme] = provider;
        return { dispose() {} };
      },
      openTextDocument: async (uri) => ({ uri }),
    },
  };
}

class LanguageClient {
  constructor(id, name, server, options) {
    Object.assign(this, { server, options, running: false });
    clients.push(this);
  }
  async start() {
    if (values.broken) throw new Error("no pygls");
    this.running = true;
  }
  async dispose() {
    this.running = false;
  }
}

const load = Module._load;
Module._load = function (name, ...more) {
  if (name === "vscode") return vscode;
  if (name === "vscode-languageclient/node") return { LanguageClient };
  return load.call(this, name, ...more);
};

async function activated() {
  delete require.cache[require.resolve("../source/extension")];
  const extension = require("../source/extension");
  await extension.activate({ subscriptions: [] });
  return extension;
}

let work;
beforeEach((context) => {
  [said, clients] = [[], []];
  work = fs.mkdtempSync(path.join(os.tmpdir(), "archspec-test-"));
  const program = path.join(work, "archspec");
  fs.writeFileSync(program, `#!${process.execPath}\n${PROGRAM}`, { mode: 0o755 });
  values = { command: program };
  vscode = made();
  context.after?.(() => fs.rmSync(work, { recursive: true }));
});

function opened(text = "model") {
  const file = path.join(work, "net.arch");
  fs.writeFileSync(file, text);
  const document = { languageId: "arch", uri: Uri.file(file), isDirty: false };
  vscode.window.activeTextEditor = { document };
  return document;
}

async function until(holds) {
  for (let i = 0; i < 500 && !holds(); i++) await pause(10);
  assert.ok(holds());
}

// ---------------------------------------------------------------- what it does

test("the language server is started with the command of the settings, and stopped in the end", async () => {
  const { deactivate } = await activated();
  const [client] = clients;
  assert.deepEqual(client.server, { command: values.command, args: ["lsp"] });
  assert.ok(client.running);
  assert.ok(client.options.documentSelector.every(({ language }) => language === "arch"));
  await deactivate();
  assert.ok(!client.running);
  assert.deepEqual(said, []);
});

test("it is started anew when its settings change, and not when others do", async () => {
  await activated();
  await vscode.changed.fire({ affectsConfiguration: (name) => name === "archspec.picture.view" });
  assert.equal(clients.length, 1);
  await vscode.changed.fire({ affectsConfiguration: (name) => name === "archspec.python" });
  assert.deepEqual(clients.map(({ running }) => running), [false, true]);
});

test("a missing archspec is told, with the command that installs it", async () => {
  values.command = "/no/such/archspec";
  await activated();
  assert.equal(clients.length, 0);
  const [[kind, message]] = said;
  assert.equal(kind, "error");
  assert.match(message, /archspec\.command \(.*ENOENT.*\).*pip install 'archspec-nn\[lsp\]'/);
  assert.deepEqual(said[1], ["copied", "pip install 'archspec-nn[lsp]'"]);
});

test("a server that does not start is told", async () => {
  values.broken = true;
  await activated();
  assert.match(said[0][1], /does not start: no pygls/);
});

test("nothing is started that was switched off", async () => {
  values.server = false;
  await activated();
  assert.equal(clients.length, 0);
});

test("a folder that is not trusted names no program", async () => {
  values = {};
  vscode.workspace.isTrusted = false;
  vscode.workspace.workspaceFolders = [{ uri: Uri.file(work) }];
  fs.mkdirSync(path.join(work, ".venv", "bin"), { recursive: true });
  fs.copyFileSync(path.join(work, "archspec"), path.join(work, ".venv", "bin", "python"));
  const before = process.env.PATH;
  process.env.PATH = "";
  await activated();
  assert.equal(clients.length, 0);
  vscode.workspace.isTrusted = true;
  await activated();
  process.env.PATH = before;
  assert.equal(clients[0].server.command, path.join(work, ".venv", "bin", "python"));
});

test("a picture is drawn when its page is ready, and again at each save of a spec", async () => {
  await activated();
  const document = opened("one");
  await vscode.registered["archspec.showPicture"]();
  const [panel] = vscode.panels;
  assert.deepEqual(panel.posted, []);
  await panel.received.fire("ready");
  await until(() => panel.posted.length === 1);
  const svg = (message) => Buffer.from(message.svg, "base64").toString();
  assert.equal(svg(panel.posted[0]), "<svg>one</svg>");

  fs.writeFileSync(document.uri.fsPath, "two");
  await vscode.saved.fire({ languageId: "python" });
  await vscode.saved.fire(document);
  await until(() => panel.posted.length === 2);
  assert.equal(svg(panel.posted[1]), "<svg>two</svg>");

  const listeners = vscode.saved.heard.size;
  await panel.disposed.fire();
  assert.equal(vscode.saved.heard.size, listeners - 1);
});

test("the cost is a text that follows saves", async () => {
  await activated();
  const document = opened();
  await vscode.registered["archspec.showCost"]();
  assert.deepEqual(said, [["shown", "Cost of net.arch"]]);
  const provider = vscode.providers["archspec-cost"];
  const uri = Uri.from({ scheme: "archspec-cost", path: "Cost of net.arch", query: document.uri.toString() });
  assert.equal(await provider.provideTextDocumentContent(uri), `cost of ${document.uri.fsPath}\n`);
  const changed = [];
  provider.onDidChange((changedUri) => changed.push(changedUri));
  vscode.workspace.textDocuments = [document, { uri }];
  await vscode.saved.fire(document);
  assert.deepEqual(changed, [uri]);
});

test("commands without a spec say what they need", async () => {
  await activated();
  await vscode.registered["archspec.showPicture"]();
  assert.match(said[0][1], /Open a spec/);
});

// ---------------------------------------------------------------- what it says of itself

test("each command of the manifest is there, and no other", async () => {
  await activated();
  const declared = manifest.contributes.commands.map(({ command }) => command);
  assert.deepEqual(Object.keys(vscode.registered).sort(), declared.sort());
});

test("each file that the manifest names is there", () => {
  const { languages, grammars, snippets } = manifest.contributes;
  for (const file of [languages[0].configuration, grammars[0].path, snippets[0].path]) {
    JSON.parse(fs.readFileSync(path.join(folder, file), "utf-8"));
  }
});

test("each setting that the code reads is declared, with the same standard value", () => {
  const declared = manifest.contributes.configuration.properties;
  const code = fs.readFileSync(path.join(folder, "source", "extension.js"), "utf-8");
  const read = [...code.matchAll(/settings\(\)\.get\("([\w.]+)", ([^)]*)\)/g)];
  assert.ok(read.length >= 4);
  for (const [, name, standard] of read) assert.equal(declared[`archspec.${name}`].default, JSON.parse(standard), name);
});

test("lines that open a block indent the next one", () => {
  const { indentationRules } = JSON.parse(fs.readFileSync(path.join(folder, "language-configuration.json"), "utf-8"));
  const increase = new RegExp(indentationRules.increaseIndentPattern);
  const decrease = new RegExp(indentationRules.decreaseIndentPattern);
  for (const line of ["model Net(a: int = 1):", "block A:  # c", "    for i in x:", "claims A \"b\":", "defaults:", "  else:"]) {
    assert.match(line, increase);
  }
  for (const line of ["x = y -> a: B", "    return x", "block A = Conv(1)", "input x: [3]"]) assert.doesNotMatch(line, increase);
  assert.match("    elif a:", decrease);
  assert.doesNotMatch("    elif_ = 1", decrease);
});
