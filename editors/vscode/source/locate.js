"use strict";

const path = require("node:path");

const INSTALL = "pip install 'archspec-nn[lsp]'";

/**
 * The ways to start archspec, best first. What stands in the settings is meant, so nothing else is tried then.
 *
 * @param {{command: string, python: string}} settings paths, or empty
 * @param {string[]} folders of the workspace; empty where the user does not trust it
 * @param {{platform: string, interpreter?: string, exists: (file: string) => boolean}} machine `interpreter` is that of the Python extension
 * @returns {{command: string, args: string[], origin: string}[]}
 */
function programs(settings, folders, machine) {
  const windows = machine.platform === "win32";
  const home = (file) => expand(file, folders);
  if (settings.command) return [{ command: home(settings.command), args: [], origin: "archspec.command" }];
  if (settings.python) return [{ command: home(settings.python), args: ["-m", "archspec"], origin: "archspec.python" }];
  const found = [];
  if (machine.interpreter) {
    found.push({ command: machine.interpreter, args: ["-m", "archspec"], origin: "the Python extension" });
  }
  for (const folder of folders) {
    for (const environment of [".venv", "venv"]) {
      const python = path.join(folder, environment, ...(windows ? ["Scripts", "python.exe"] : ["bin", "python"]));
      if (machine.exists(python)) found.push({ command: python, args: ["-m", "archspec"], origin: python });
    }
  }
  found.push({ command: windows ? "archspec.exe" : "archspec", args: [], origin: "PATH" });
  return found;
}

/** `${workspaceFolder}` in a setting stands for the first folder. */
function expand(file, folders) {
  return file.replace("${workspaceFolder}", folders[0] ?? "");
}

/**
 * The first of the programs that is archspec. Another project has a command of that name, about CPUs, which knows no specs.
 *
 * @param {{command: string, args: string[], origin: string}[]} candidates
 * @param {(program: object, args: string[], options: object) => Promise<{code: number | null, out: string, err: string}>} run
 * @returns {Promise<{program?: object, message?: string}>} the program, or what to tell the user
 */
async function locate(candidates, run) {
  const tried = [];
  for (const program of candidates) {
    const { code, out, err } = await run(program, ["--help"], { timeout: 20_000 });
    if (code === 0 && /\.arch\b/.test(out)) {
      return /^\W*lsp\b/m.test(out) ? { program } : { program, message: `archspec has no language server: it is too old. Update it: ${INSTALL}` };
    }
    tried.push(`${program.origin} (${code === 0 ? "another program of that name" : firstLine(err) || `exit status ${code}`})`);
  }
  return { message: `archspec is not installed, or not where the extension looks: ${tried.join("; ")}. Install it: ${INSTALL}` };
}

function firstLine(text) {
  const lines = text.trim().split("\n");
  return lines[lines.length - 1].trim().slice(0, 200);
}

module.exports = { INSTALL, locate, programs };
