"use strict";

// Bundles the extension into dist/, with the licences of what is bundled beside it.

const fs = require("node:fs");
const path = require("node:path");
const esbuild = require("esbuild");

const { metafile } = esbuild.buildSync({
  absWorkingDir: __dirname,
  entryPoints: ["source/extension.js"],
  outfile: "dist/extension.js",
  bundle: true,
  minify: true,
  platform: "node",
  target: "node18",
  external: ["vscode"],
  metafile: true,
  logLevel: "warning",
});

const bundled = Object.keys(metafile.inputs).map((file) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0]);
const licences = [...new Set(bundled.filter(Boolean))].sort().map((folder) => {
  const { name, version } = JSON.parse(fs.readFileSync(path.join(__dirname, folder, "package.json"), "utf-8"));
  const file = fs.readdirSync(path.join(__dirname, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${folder} has no licence to ship`);
  return `${name} ${version}\n\n${fs.readFileSync(path.join(__dirname, folder, file), "utf-8").trim()}\n`;
});
fs.writeFileSync(path.join(__dirname, "dist", "LICENCES.txt"), licences.join("\n----\n\n"));
