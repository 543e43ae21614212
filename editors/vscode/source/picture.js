"use strict";

const fs = require("node:fs/promises");
const os = require("node:os");
const path = require("node:path");

/**
 * The picture of a spec as archspec draws it.
 *
 * @param {object} program how archspec is started
 * @param {string} spec path of the file
 * @param {{view: string, dark: boolean, signal?: AbortSignal}} how
 * @param {Function} run
 * @returns {Promise<{svg?: Buffer, message?: string}>} the picture, or what is wrong with the spec
 */
async function draw(program, spec, how, run) {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), "archspec-"));
  try {
    const file = path.join(folder, "picture.svg");
    const args = ["draw", spec, "-o", file, "--view", how.view, "--theme", how.dark ? "dark" : "light"];
    const { code, err } = await run(program, args, { cwd: path.dirname(spec), signal: how.signal });
    if (code !== 0) return { message: err.trim() || "archspec was stopped" };
    return { svg: await fs.readFile(file) };
  } finally {
    await fs.rm(folder, { recursive: true, force: true });
  }
}

/**
 * The page that shows pictures. It holds no text of any spec: pictures come as messages and are shown as images, in which no script
 * runs, and messages as plain text.
 *
 * @param {string} nonce what allows the page's own script and style
 */
function page(nonce) {
  const policy = `default-src 'none'; img-src data:; style-src 'nonce-${nonce}'; script-src 'nonce-${nonce}'`;
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>archspec</title>
<style nonce="${nonce}">
body { padding: 0; }
main { overflow: auto; height: 100vh; }
img { display: block; margin: 1em auto; max-width: calc(100% - 2em); cursor: zoom-in; }
img.large { max-width: none; cursor: zoom-out; }
img.stale { opacity: 0.4; }
pre { margin: 1em; white-space: pre-wrap; font-family: var(--vscode-editor-font-family); color: var(--vscode-errorForeground); }
[hidden] { display: none; }
</style>
</head>
<body>
<main><pre id="message" role="status" hidden></pre><img id="picture" alt="" hidden></main>
<script nonce="${nonce}">
"use strict";
const picture = document.getElementById("picture");
const message = document.getElementById("message");
window.addEventListener("message", ({ data }) => {
  if (data.svg) {
    picture.src = "data:image/svg+xml;base64," + data.svg;
    picture.alt = data.title;
    picture.hidden = false;
  }
  picture.classList.toggle("stale", Boolean(data.message));
  message.textContent = data.message ?? "";
  message.hidden = !data.message;
});
picture.addEventListener("click", () => picture.classList.toggle("large"));
acquireVsCodeApi().postMessage("ready");
</script>
</body>
</html>
`;
}

module.exports = { draw, page };
