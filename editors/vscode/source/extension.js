"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");
const { Following } = require("./following");
const { INSTALL, locate, programs } = require("./locate");
const { draw, page } = require("./picture");
const { run } = require("./run");

const PAUSE = 300; // milliseconds after a save
const COST = "archspec-cost";

/** @type {LanguageClient | undefined} */
let client;
/** @type {Promise<{program?: object, message?: string}> | undefined} */
let located;

function settings() {
  return vscode.workspace.getConfiguration("archspec");
}

/** How archspec is started here; looked for once, and again when settings change. */
function archspec() {
  located ??= (async () => {
    const trusted = vscode.workspace.isTrusted;
    const folders = trusted ? (vscode.workspace.workspaceFolders ?? []).map((folder) => folder.uri.fsPath) : [];
    const names = { command: settings().get("command", ""), python: settings().get("python", "") };
    const interpreter = trusted ? await pythonOfThisFolder() : undefined;
    return locate(programs(names, folders, { platform: process.platform, interpreter, exists: fs.existsSync }), run);
  })();
  return located;
}

/** The interpreter that is chosen in the Python extension, if that is installed. */
async function pythonOfThisFolder() {
  const extension = vscode.extensions.getExtension("ms-python.python");
  if (!extension) return undefined;
  try {
    const { environments } = await extension.activate();
    return (await environments.resolveEnvironment(environments.getActiveEnvironmentPath()))?.executable.uri?.fsPath;
  } catch (error) {
    console.warn("archspec: the Python extension does not tell its interpreter", error);
    return undefined;
  }
}

/** Tell what is wrong, with what can be done about it. */
async function complain(message) {
  const copy = "Copy the command";
  const open = "Open settings";
  const chosen = await vscode.window.showErrorMessage(message, copy, open);
  if (chosen === copy) await vscode.env.clipboard.writeText(INSTALL);
  if (chosen === open) await vscode.commands.executeCommand("workbench.action.openSettings", "archspec");
}

// ---------------------------------------------------------------- the language server

async function startServer() {
  if (!settings().get("server", true)) return;
  const { program, message } = await archspec();
  if (message || !program) {
    await complain(message);
    return;
  }
  client = new LanguageClient(
    "archspec",
    "archspec",
    { command: program.command, args: [...program.args, "lsp"] },
    { documentSelector: [{ scheme: "file", language: "arch" }, { scheme: "untitled", language: "arch" }] },
  );
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    await complain(`The language server does not start: ${error.message}. It may lack a part: ${INSTALL}`);
  }
}

async function stopServer() {
  const running = client;
  client = undefined;
  await running?.dispose();
}

async function restart() {
  located = undefined;
  await stopServer();
  await startServer();
}

// ---------------------------------------------------------------- pictures and costs

/** The spec that a command is about, saved; undefined after a word to the user where there is none. */
async function specAtHand() {
  const document = vscode.window.activeTextEditor?.document;
  if (document?.languageId !== "arch" || document.uri.scheme !== "file") {
    vscode.window.showInformationMessage("Open a spec, a file that ends in .arch, first.");
    return undefined;
  }
  if (document.isDirty) await document.save();
  const { program, message } = await archspec();
  if (!program) await complain(message);
  return program && { program, file: document.uri.fsPath };
}

/** Call back when any spec has been saved, since a spec may import it. */
function onSave(wish) {
  return vscode.workspace.onDidSaveTextDocument((document) => {
    if (document.languageId === "arch") wish();
  });
}

async function showPicture() {
  const spec = await specAtHand();
  if (!spec) return;
  const name = path.basename(spec.file);
  const panel = vscode.window.createWebviewPanel(
    "archspec.picture",
    `Picture of ${name}`,
    { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true },
    { enableScripts: true, localResourceRoots: [], retainContextWhenHidden: true },
  );
  const following = new Following(async (signal) => {
    const kind = vscode.window.activeColorTheme.kind;
    const dark = kind === vscode.ColorThemeKind.Dark || kind === vscode.ColorThemeKind.HighContrast;
    const view = settings().get("picture.view", "overview");
    const { svg, message } = await draw(spec.program, spec.file, { view, dark, signal }, run);
    if (!signal.aborted) await panel.webview.postMessage({ svg: svg?.toString("base64"), title: `Picture of ${name}`, message });
  }, PAUSE);
  const listeners = [
    onSave(() => following.wish()),
    vscode.window.onDidChangeActiveColorTheme(() => following.wish()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("archspec.picture")) following.wish();
    }),
    panel.webview.onDidReceiveMessage(() => following.wish()),
  ];
  panel.onDidDispose(() => {
    following.close();
    for (const listener of listeners) listener.dispose();
  });
  panel.webview.html = page(crypto.randomBytes(16).toString("hex"));
}

/** The costs of specs as texts that cannot be edited; they follow the specs. */
class Costs {
  constructor() {
    this.changed = new vscode.EventEmitter();
    this.onDidChange = this.changed.event;
  }

  async provideTextDocumentContent(uri) {
    const { program, message } = await archspec();
    if (!program) return message;
    const file = vscode.Uri.parse(uri.query, true).fsPath;
    const { code, out, err } = await run(program, ["cost", file], { cwd: path.dirname(file) });
    return code === 0 ? out : err;
  }
}

async function showCost() {
  const spec = await specAtHand();
  if (!spec) return;
  const uri = vscode.Uri.from({
    scheme: COST,
    path: `Cost of ${path.basename(spec.file)}`,
    query: vscode.Uri.file(spec.file).toString(),
  });
  const document = await vscode.workspace.openTextDocument(uri);
  await vscode.window.showTextDocument(document, { viewColumn: vscode.ViewColumn.Beside, preserveFocus: true, preview: true });
}

// ---------------------------------------------------------------- the extension

/** @param {vscode.ExtensionContext} context */
async function activate(context) {
  const costs = new Costs();
  context.subscriptions.push(
    vscode.commands.registerCommand("archspec.showPicture", showPicture),
    vscode.commands.registerCommand("archspec.showCost", showCost),
    vscode.commands.registerCommand("archspec.restart", restart),
    vscode.workspace.registerTextDocumentContentProvider(COST, costs),
    onSave(() => {
      for (const document of vscode.workspace.textDocuments) {
        if (document.uri.scheme === COST) costs.changed.fire(document.uri);
      }
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (["command", "python", "server"].some((name) => event.affectsConfiguration(`archspec.${name}`))) return restart();
    }),
  );
  await startServer();
}

module.exports = { activate, deactivate: stopServer };
