"use strict";

const { execFile } = require("node:child_process");

/**
 * Run a program without a shell.
 *
 * @param {{command: string, args: string[]}} program
 * @param {string[]} more arguments behind its own
 * @param {{cwd?: string, timeout?: number, signal?: AbortSignal}} [options] `timeout` in milliseconds
 * @returns {Promise<{code: number | null, out: string, err: string}>} `code` is null where it could not be started, or was stopped
 */
function run(program, more, options = {}) {
  return new Promise((resolve) => {
    execFile(
      program.command,
      [...program.args, ...more],
      {
        cwd: options.cwd,
        timeout: options.timeout ?? 60_000,
        signal: options.signal,
        maxBuffer: 64 * 1024 * 1024,
        windowsHide: true,
        env: { ...process.env, NO_COLOR: "1", PYTHONIOENCODING: "utf-8", PYTHONUTF8: "1" },
      },
      (error, out, err) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : null;
        resolve({ code, out, err: code === null && !err ? String(error?.message) : err });
      },
    ).stdin?.end();
  });
}

module.exports = { run };
