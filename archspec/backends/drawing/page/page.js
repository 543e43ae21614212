"use strict";
(() => {
  const model = JSON.parse(document.getElementById("model").textContent);
  const boxes = new Map(model.boxes.map((box) => [box.id, box]));
  const order = model.boxes.map((box) => box.id); // the order of the graph
  const open = new Set(model.boxes.filter((box) => box.open).map((box) => box.id));
  const view = document.getElementById("view");
  const picture = document.getElementById("picture");
  const find = (id) => document.getElementById(id);
  const pan = { x: 0, y: 0, zoom: 1 };
  let current = order[0]; // the box that the keyboard is at
  let placed = { boxes: new Map(), width: 0, height: 0 };

  // ---------------------------------------------------------------- what is to be seen

  const parts = new Map(order.map((id) => [id, []]));
  for (const box of model.boxes) if (box.parent !== null) parts.get(box.parent).push(box.id);

  const isOpen = (id) => open.has(id) && parts.get(id).length > 0;

  function ancestors(id) {
    const found = [];
    for (let at = boxes.get(id).parent; at !== null; at = boxes.get(at).parent) found.push(at);
    return found;
  }

  /** The box that stands for another: itself, or the outermost closed one around it. */
  function shown(id) {
    const closed = ancestors(id).filter((above) => !isOpen(above));
    return closed.length ? closed[closed.length - 1] : id;
  }

  const visible = () => order.filter((id) => shown(id) === id);

  const containers = (id) => [...ancestors(id), null]; // from the inside out; null is the page

  /**
   * The lines within each container: from box to box, and from and to the border for what comes from or goes
   * outside, so that each container can be laid out by itself. A shape is written where it first leaves a box.
   */
  function linksByContainer() {
    const links = new Map();
    const said = new Set();
    const add = (container, from, to, via, text) => {
      if (!links.has(container)) links.set(container, new Map());
      const key = `${from} ${to} ${via}`;
      if (!links.get(container).has(key)) links.get(container).set(key, { from, to, via, text });
    };
    for (const [first, second, shape, changed] of model.edges) {
      const [source, target] = [shown(first), shown(second)];
      if (source === target) continue;
      const outside = new Set(containers(target));
      let [from, to] = [source, target];
      let place = boxes.get(source).parent;
      for (; !outside.has(place); from = place, place = boxes.get(place).parent) add(place, from, `out ${source}`, source, "");
      const inside = containers(target);
      for (const at of inside.slice(0, inside.indexOf(place))) {
        add(at, `in ${source}`, to, source, "");
        to = at;
      }
      const text = changed && !said.has(`${source} ${shape}`) ? shape : "";
      said.add(`${source} ${shape}`);
      add(place, from, to, source, text);
    }
    return links;
  }

  // ---------------------------------------------------------------- layout

  const ruler = document.createElement("canvas").getContext("2d");
  const widths = new Map();
  function width(text, font) {
    const key = font + text;
    if (!widths.has(key)) {
      ruler.font = `${font} Helvetica, Arial, sans-serif`;
      widths.set(key, ruler.measureText(text).width);
    }
    return widths.get(key);
  }

  const times = (box) => (box.count > 1 ? `  × ${box.count}` : "");
  const heading = (box) => box.title + times(box);
  const below = (box) => [box.title === box.label ? "" : box.label, box.figures].filter(Boolean).join(" · ");

  function size(box) {
    if (box.sign) return { width: 26, height: 26 };
    const wide = Math.max(width(heading(box), "bold 13px"), width(below(box), "11px"));
    return { width: wide + 22, height: below(box) ? 40 : 28 };
  }

  const HEADER = 26;
  const isPort = (id) => id.startsWith("in ") || id.startsWith("out ");

  /** Place what is in a container; open boxes in it are laid out first, and then are as large as what they hold. */
  function layOut(container, links) {
    const graph = new dagre.graphlib.Graph({ multigraph: true });
    graph.setGraph({ rankdir: "TB", nodesep: 20, ranksep: 28, marginx: 16, marginy: container === null ? 20 : 4 });
    graph.setDefaultEdgeLabel(() => ({}));
    const children = order.filter((id) => boxes.get(id).parent === container);
    for (const id of children) graph.setNode(id, isOpen(id) ? layOut(id, links) : size(boxes.get(id)));
    for (const { from, to, via, text } of links.get(container)?.values() ?? []) {
      for (const [port, border] of [[from, "top"], [to, "bottom"]]) {
        if (!isPort(port) || graph.hasNode(port)) continue;
        graph.setNode(border, { width: 2, height: 2 });
        graph.setNode(port, { width: 2, height: 2 });
        graph.setEdge(...(border === "top" ? [border, port] : [port, border]), { weight: 100, border: true }, "border");
      }
      const label = text ? { width: width(text, "11px") + 8, height: 12, labelpos: "r", labeloffset: 6 } : {};
      const straight = children.indexOf(to) - children.indexOf(from) === 1;
      graph.setEdge(from, to, { ...label, text, via, weight: straight ? 4 : 1 }, via);
    }
    dagre.layout(graph);
    const head = container === null ? 0 : width(heading(boxes.get(container)), "bold 13px") + width(below(boxes.get(container)), "11px") + 40;
    const found = graph.graph();
    // The ports are the border: what was laid out above and below them is no part of the container.
    const ports = (side) => graph.nodes().filter((id) => id.startsWith(side)).map((id) => graph.node(id).y);
    const [lift, end] = [Math.min(...ports("in "), Infinity), Math.max(...ports("out "), 0)];
    const top = Number.isFinite(lift) ? lift : 0;
    return {
      graph,
      children,
      shift: Math.max(0, (head - (found.width || 0)) / 2),
      lift: top,
      width: Math.max(found.width || 1, head),
      height: (end || found.height || 1) - top + (container === null ? 0 : HEADER),
    };
  }

  /** Where a line meets a box: at the port of its value if the box is open, else where it was led. */
  function meeting(node, id, side, via, led) {
    const port = node.graph?.node(`${side} ${via}`);
    if (!port) return led;
    return { x: node.x - node.width / 2 + node.shift + port.x, y: node.y + (side === "in" ? -0.5 : 0.5) * node.height };
  }

  // ---------------------------------------------------------------- drawing

  function element(name, attributes, parent) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    parent?.append(made);
    return made;
  }

  function write(text, x, y, kind, parent, anchor = "middle") {
    const made = element("text", { x, y, class: kind, "text-anchor": anchor }, parent);
    made.textContent = text;
    return made;
  }

  function curve(points) {
    let path = `M${points[0].x},${points[0].y}`;
    for (let i = 1; i < points.length - 1; i += 1) {
      const [at, next] = [points[i], points[i + 1]];
      const last = i === points.length - 2;
      const end = last ? next : { x: (at.x + next.x) / 2, y: (at.y + next.y) / 2 };
      path += `Q${at.x},${at.y} ${end.x},${end.y}`;
    }
    if (points.length === 2) path += `L${points[1].x},${points[1].y}`;
    return path;
  }

  function spoken(box) {
    const inside = parts.get(box.id).length ? `, ${parts.get(box.id).length} parts inside` : "";
    return `${box.name || box.label}: ${heading(box)}${inside}${box.figures ? `, ${box.figures}` : ""}`;
  }

  function drawBox(id, node, parent) {
    const box = boxes.get(id);
    const holds = parts.get(id).length > 0;
    const kinds = ["box", holds ? "has-parts" : "", isOpen(id) ? "open" : ""].filter(Boolean).join(" ");
    const group = element("g", { class: kinds, "data-id": id, role: "treeitem", tabindex: id === current ? 0 : -1, "aria-label": spoken(box), "aria-level": ancestors(id).length + 1 }, parent);
    if (holds) group.setAttribute("aria-expanded", String(isOpen(id)));
    const { x, y, width: w, height: h } = node;
    if (box.sign) {
      element("circle", { cx: x, cy: y, r: 13 }, group);
      write(box.sign, x, y + 5, "title", group);
    } else if (box.end) {
      element("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 8, "stroke-opacity": 0, "fill-opacity": 0 }, group);
      write(heading(box), x, y - 3, "title", group);
      write(below(box), x, y + 12, "small", group);
    } else {
      element("rect", { x: x - w / 2, y: y - h / 2, width: w, height: h, rx: 8 }, group);
      if (!isOpen(id)) {
        write(heading(box), x, y + (below(box) ? -3 : 5), "title", group);
        if (below(box)) write(below(box), x, y + 12, "small", group);
      }
    }
    group.style.setProperty("--fill", fill(box));
    return group;
  }

  /** The line above what an open box holds, over the lines that cross it. */
  function drawHeading(id, { x, y, width: w, height: h }) {
    const box = boxes.get(id);
    const head = write(heading(box), x - w / 2 + 10, y - h / 2 + 17, "title heading", view, "start");
    element("tspan", { class: "small", dx: 10 }, head).textContent = below(box);
  }

  /** Note what a laid out container holds, at its place on the page: frames, lines and closed boxes. */
  function collect(layout, left, top, found) {
    const { graph } = layout;
    const x0 = left + layout.shift;
    const at = (point) => ({ x: x0 + point.x, y: top - layout.lift + point.y });
    for (const { v, w, name } of graph.edges()) {
      const edge = graph.edge(v, w, name);
      if (edge.border) continue;
      const points = [...edge.points];
      const [from, to] = [graph.node(v), graph.node(w)];
      points[0] = isPort(v) ? { x: from.x, y: layout.lift - HEADER } : meeting(from, v, "out", edge.via, points[0]);
      points[points.length - 1] = isPort(w) ? { x: to.x, y: layout.lift + layout.height - HEADER } : meeting(to, w, "in", edge.via, points[points.length - 1]);
      const label = edge.text ? { text: edge.text, ...at({ x: edge.x - edge.width / 2 + 4, y: edge.y + 4 }) } : null;
      found.lines.push({ points: points.map(at), arrow: !isPort(w) && !to.graph, label });
    }
    for (const id of layout.children) {
      const node = graph.node(id);
      const place = { ...at(node), width: node.width, height: node.height };
      (node.graph ? found.frames : found.closed).push([id, place]);
      if (node.graph) collect(node, place.x - node.width / 2, place.y - node.height / 2 + HEADER, found);
    }
    return found;
  }

  function draw() {
    const focused = document.activeElement?.closest?.(".box")?.dataset.id;
    const layout = layOut(null, linksByContainer());
    const found = collect(layout, 0, 0, { frames: [], lines: [], closed: [] });
    view.replaceChildren();
    placed = { boxes: new Map(), width: layout.width, height: layout.height, first: layout.graph.node(order[0]).x };
    for (const [id, place] of found.frames) placed.boxes.set(id, drawBox(id, place, view));
    for (const { points, arrow, label } of found.lines) {
      element("path", { class: "edge", d: curve(points), ...(arrow ? { "marker-end": "url(#arrow)" } : {}) }, view);
      if (label) write(label.text, label.x, label.y, "small", view, "start");
    }
    for (const [id, place] of found.frames) drawHeading(id, place);
    for (const [id, place] of found.closed) placed.boxes.set(id, drawBox(id, place, view));
    if (!placed.boxes.has(current)) current = shown(current);
    if (focused) focus(shown(focused));
  }

  // ---------------------------------------------------------------- colours

  const dark = () => document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  function fill(box) {
    const quantity = find("shade").value;
    if (quantity && !box.end) {
      const most = Math.max(...visible().filter((id) => !isOpen(id)).map((id) => boxes.get(id)[quantity] || 0), 1);
      return `color-mix(in srgb, var(--shade) ${Math.round((dark() ? 60 : 75) * Math.sqrt((box[quantity] || 0) / most))}%, var(--paper))`;
    }
    const family = box.family === null ? null : model.families[box.family];
    return family ? family[dark() ? "dark" : "light"] : "var(--paper)";
  }

  function paint() {
    for (const [id, group] of placed.boxes) group.style.setProperty("--fill", fill(boxes.get(id)));
    const legend = find("legend");
    legend.replaceChildren();
    for (const family of model.families) {
      const item = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.style.background = family[dark() ? "dark" : "light"];
      item.append(swatch, family.name);
      legend.append(item);
    }
    const help = document.createElement("span");
    help.textContent = "click or Enter opens a block · arrows move · / searches · + − 0 zoom";
    legend.append(help);
  }

  // ---------------------------------------------------------------- moving about

  function move() {
    view.setAttribute("transform", `translate(${pan.x},${pan.y}) scale(${pan.zoom})`);
  }

  function fit() {
    const { clientWidth: w, clientHeight: h } = picture;
    pan.zoom = Math.min(1.2, Math.max(0.35, Math.min(w / placed.width, h / placed.height)));
    const middle = placed.width * pan.zoom > w ? placed.first : placed.width / 2;
    pan.x = w / 2 - middle * pan.zoom;
    pan.y = Math.max(0, (h - placed.height * pan.zoom) / 2);
    move();
  }

  function zoom(factor, x = picture.clientWidth / 2, y = picture.clientHeight / 2) {
    const to = Math.min(6, Math.max(0.05, pan.zoom * factor));
    pan.x = x - ((x - pan.x) * to) / pan.zoom;
    pan.y = y - ((y - pan.y) * to) / pan.zoom;
    pan.zoom = to;
    move();
  }

  /** Draw anew, keeping a box where it is on the screen. */
  function redraw(id) {
    const before = placed.boxes.get(shown(id))?.getBoundingClientRect();
    draw();
    const after = placed.boxes.get(shown(id))?.getBoundingClientRect();
    if (before && after) {
      pan.x += before.left + before.width / 2 - after.left - after.width / 2;
      pan.y += before.top - after.top;
    }
    move();
  }

  function toggle(id) {
    if (!parts.get(id).length) return;
    if (open.has(id)) open.delete(id);
    else open.add(id);
    redraw(id);
    focus(id);
  }

  function focus(id) {
    placed.boxes.get(current)?.setAttribute("tabindex", -1);
    current = id;
    const group = placed.boxes.get(id);
    group?.setAttribute("tabindex", 0);
    group?.focus({ preventScroll: true });
    describe(id);
  }

  function bringIntoView(id) {
    const group = placed.boxes.get(id);
    const [inner, outer] = [group.getBoundingClientRect(), picture.getBoundingClientRect()];
    if (inner.top >= outer.top && inner.bottom <= outer.bottom && inner.left >= outer.left && inner.right <= outer.right) return;
    pan.x += outer.left + outer.width / 2 - inner.left - inner.width / 2;
    pan.y += outer.top + outer.height / 3 - inner.top;
    move();
  }

  function step(by) {
    const ids = visible();
    const next = ids[Math.min(ids.length - 1, Math.max(0, ids.indexOf(current) + by))];
    focus(next);
    bringIntoView(next);
  }

  // ---------------------------------------------------------------- details

  const share = (part, whole) => (whole ? ` (${((100 * part) / whole).toFixed(1)}%)` : "");
  const counted = (number) => number.toLocaleString("en-US");

  function describe(id) {
    const box = boxes.get(id);
    const details = find("details");
    details.replaceChildren();
    const title = document.createElement("h2");
    title.textContent = box.name || box.label;
    const list = document.createElement("dl");
    const add = (name, value, code = false) => {
      if (!value) return;
      const [term, said] = [document.createElement("dt"), document.createElement("dd")];
      const inner = code ? document.createElement("code") : said;
      term.textContent = name;
      inner.textContent = value;
      if (code) said.append(inner);
      list.append(term, said);
    };
    add(box.block ? "block" : "op", box.written.join("\n"), true);
    add("times", box.count > 1 ? `${box.count}, all together below` : "");
    add("input", box.inputs.join("\n"));
    add("output", box.outputs.join("\n"));
    add("parameters", box.params ? counted(box.params) + share(box.params, model.totals.params) : "");
    add("multiply-adds", box.macs ? counted(box.macs) + share(box.macs, model.totals.macs) : "");
    add("FLOPs", box.flops ? counted(box.flops) : "");
    add("activations", box.memory ? `${counted(box.memory)} bytes${share(box.memory, model.totals.memory)}` : "");
    add(box.place ? `in the spec, ${box.place}` : "", box.line, true);
    details.append(title, list);
  }

  // ---------------------------------------------------------------- search

  function search() {
    const wanted = find("search").value.trim().toLowerCase();
    const matches = find("matches");
    matches.replaceChildren();
    for (const group of placed.boxes.values()) group.classList.remove("found");
    matches.hidden = !wanted;
    if (!wanted) return [];
    const found = order.filter((id) => boxes.get(id).searched.includes(wanted)).slice(0, 200);
    for (const id of found) {
      placed.boxes.get(shown(id))?.classList.add("found");
      const item = document.createElement("li");
      const button = document.createElement("button");
      button.textContent = `${boxes.get(id).name || boxes.get(id).label}   ${heading(boxes.get(id))}`;
      button.addEventListener("click", () => reveal(id));
      item.append(button);
      matches.append(item);
    }
    if (!found.length) matches.append(Object.assign(document.createElement("li"), { textContent: "nothing found" }));
    return found;
  }

  function reveal(id) {
    find("matches").hidden = true;
    for (const above of ancestors(id)) open.add(above);
    redraw(id);
    focus(id);
    bringIntoView(id);
    placed.boxes.get(id).classList.add("found");
  }

  // ---------------------------------------------------------------- what the reader does

  const boxAt = (event) => event.target.closest?.(".box")?.dataset.id;
  const pointers = new Map();
  let moved = 0;

  picture.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, event);
    moved = 0;
  });
  picture.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) {
      const id = boxAt(event);
      if (id !== undefined) describe(id);
      return;
    }
    const others = [...pointers.values()].filter((other) => other.pointerId !== event.pointerId);
    if (others.length === 1) {
      const distance = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      const frame = picture.getBoundingClientRect();
      zoom(distance(event) / Math.max(1, distance(before)), others[0].clientX - frame.left, others[0].clientY - frame.top);
    } else {
      pan.x += event.clientX - before.clientX;
      pan.y += event.clientY - before.clientY;
      move();
    }
    moved += Math.abs(event.clientX - before.clientX) + Math.abs(event.clientY - before.clientY);
    pointers.set(event.pointerId, event);
  });
  for (const kind of ["pointerup", "pointercancel", "pointerleave"]) {
    picture.addEventListener(kind, (event) => pointers.delete(event.pointerId));
  }
  picture.addEventListener("click", (event) => {
    const id = boxAt(event);
    if (id === undefined || moved > 5) return; // a drag is no click
    focus(id);
    toggle(id);
  });
  picture.addEventListener("wheel", (event) => {
    event.preventDefault();
    const frame = picture.getBoundingClientRect();
    zoom(Math.exp(-event.deltaY / 400), event.clientX - frame.left, event.clientY - frame.top);
  }, { passive: false });

  const keys = {
    Enter: () => toggle(current),
    " ": () => toggle(current),
    ArrowDown: () => step(1),
    ArrowUp: () => step(-1),
    ArrowRight: () => (parts.get(current).length && !isOpen(current) ? toggle(current) : step(1)),
    ArrowLeft: () => {
      const parent = boxes.get(current).parent;
      if (isOpen(current)) toggle(current);
      else if (parent !== null) focus(parent);
    },
    Home: () => step(-order.length),
    End: () => step(order.length),
  };
  picture.addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
    const done = { "/": () => find("search").focus(), "+": () => zoom(1.25), "-": () => zoom(0.8), 0: fit }[event.key];
    if (!done) return;
    event.preventDefault();
    done();
  });
  find("search").addEventListener("input", search);
  find("search").addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      find("search").value = "";
      search();
      focus(current);
    } else if (event.key === "Enter") {
      const found = search();
      if (!found.length) return;
      // Enter once more goes on to the next.
      reveal(found[(found.indexOf(current) + 1) % found.length]);
      find("search").focus();
    }
  });
  picture.addEventListener("focusin", (event) => {
    const id = boxAt(event);
    if (id !== undefined) describe(id);
  });
  find("shade").addEventListener("change", paint);
  find("open-all").addEventListener("click", () => {
    for (const id of order) open.add(id);
    draw();
    fit();
  });
  find("close-all").addEventListener("click", () => {
    open.clear();
    draw();
    fit();
  });
  find("fit").addEventListener("click", fit);
  find("closer").addEventListener("click", () => zoom(1.25));
  find("farther").addEventListener("click", () => zoom(0.8));
  find("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    paint();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
  addEventListener("resize", fit);

  find("name").textContent = model.name;
  find("about").textContent = model.about;
  draw();
  paint();
  fit();
  describe(current);
})();
