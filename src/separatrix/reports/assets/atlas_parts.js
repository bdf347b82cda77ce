// What stands around the map of one head: the clusters with their sentences, small maps of all heads on one text, and
// windows by decile of a descriptor. A part is a function (section, data, atlas) that may return what is to happen when
// another head or another text is chosen: { head, window }. `atlas` is the page's state and its ways to change it.
separatrix.atlasParts = {};

// Clusters: a button each; pressed, its heads are outlined wherever heads are drawn.
separatrix.atlasParts.clusters = (section, data, atlas) => {
  const list = section.querySelector(".clusters");
  if (!list) return {};
  const buttons = data.lines.map((line) => {
    const button = separatrix.element("button", "", { type: "button", "aria-pressed": "false" });
    const swatch = separatrix.element("span", line.cluster < 0 ? "-" : String(line.cluster), { class: "swatch" });
    swatch.style.background = data.colours[line.cluster] || "";
    swatch.style.color = data.inks[line.cluster] || "";
    button.append(swatch, separatrix.element("span", line.sentence));
    button.addEventListener("click", () => {
      atlas.state.marked = atlas.state.marked === line.cluster ? null : line.cluster;
      buttons.forEach((each, at) => each.setAttribute("aria-pressed", String(data.lines[at].cluster === atlas.state.marked)));
      section.dataset.marked = atlas.state.marked === null ? "" : atlas.state.marked;
      atlas.mark();
    });
    const item = separatrix.element("li");
    item.append(button);
    list.append(item);
    return button;
  });
  return {};
};

// Small maps of all heads on the chosen text, drawn a layer a frame once they come into view.
separatrix.atlasParts.thumbnails = (section, data, atlas) => {
  const canvas = section.querySelector(".thumbnails"), context = canvas.getContext("2d"), small = document.createElement("canvas");
  const count = data.layers * data.heads, margin = 22, dense = Math.min(devicePixelRatio || 1, 2);
  let cell = 0, run = 0, seen = false, picture = null, focus = null;
  const corner = (head) => [margin + (head % data.heads) * cell, margin + Math.floor(head / data.heads) * cell];
  const frame = (head, colour, width) => {
    const [left, top] = corner(head);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.strokeRect(left + width / 2, top + width / 2, cell - width - 1, cell - width - 1);
  };
  const drawHead = (head) => {
    const side = atlas.side(), levels = atlas.levels(), start = head * side * side;
    for (let at = 0; at < side * side; at += 1) {
      const colour = separatrix.ramp[levels[start + at]];
      picture.data[4 * at] = colour[0];
      picture.data[4 * at + 1] = colour[1];
      picture.data[4 * at + 2] = colour[2];
      picture.data[4 * at + 3] = 255;
    }
    small.getContext("2d").putImageData(picture, 0, 0);
    const [left, top] = corner(head);
    context.drawImage(small, 0, 0, side, side, left, top, cell - 1, cell - 1);
    if (atlas.state.marked === data.clusters[head]) frame(head, "#c2410c", 2);
    if (head === atlas.state.head) frame(head, separatrix.theme().accent, 3);
  };
  const drawAll = (whole) => {
    const wide = canvas.parentElement.clientWidth, mine = run += 1;
    if (!seen || !wide) return;
    cell = Math.max(12, Math.min(72, Math.floor((wide - margin) / data.heads)));
    const width = margin + cell * data.heads, height = margin + cell * data.layers, theme = separatrix.theme();
    canvas.width = width * dense;
    canvas.height = height * dense;
    canvas.style.width = width + "px";
    context.scale(dense, dense);
    context.fillStyle = theme.muted;
    context.font = "11px " + theme.font;
    context.textAlign = "center";
    for (let head = 0; head < data.heads; head += 1) context.fillText(String(head), margin + (head + 0.5) * cell, margin - 7);
    for (let layer = 0; layer < data.layers; layer += 1) context.fillText(String(layer), margin / 2 - 2, margin + (layer + 0.5) * cell + 4);
    small.width = small.height = atlas.side();
    picture = small.getContext("2d").createImageData(atlas.side(), atlas.side());
    context.imageSmoothingQuality = "high";
    let layer = 0;
    const next = () => {
      if (mine !== run) return;
      for (let head = 0; head < data.heads; head += 1) drawHead(layer * data.heads + head);
      layer += 1;
      section.dataset.thumbnails = layer;
      if (layer < data.layers) { if (whole === true) next(); else requestAnimationFrame(next); }
    };
    next();
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect();
    const scale = (margin + cell * data.heads) / box.width;  // a page too narrow for the cells shrinks the picture
    const across = Math.floor(((event.clientX - box.left) * scale - margin) / cell), down = Math.floor(((event.clientY - box.top) * scale - margin) / cell);
    return across >= 0 && down >= 0 && across < data.heads && down < data.layers ? down * data.heads + across : -1;
  };
  const describe = (head) => atlas.place(head) + (data.sentences ? ": " + data.sentences[head] : "");
  canvas.addEventListener("pointermove", (event) => { const head = under(event); canvas.title = head < 0 ? "" : describe(head); });
  canvas.addEventListener("click", (event) => {
    const head = under(event);
    if (head < 0) return;
    atlas.choose(head);
    section.querySelector(".one").scrollIntoView({ block: "nearest", behavior: separatrix.calm && separatrix.calm() ? "auto" : "smooth" });
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: data.heads, ArrowUp: -data.heads }[event.key];
    if (step) { event.preventDefault(); atlas.choose(atlas.state.head + step); }
  });
  new IntersectionObserver((entries) => {
    if (!seen && entries.some((entry) => entry.isIntersecting)) { seen = true; drawAll(); }
  }, { rootMargin: "400px" }).observe(canvas);
  let known = 0;
  new ResizeObserver(() => {
    const wide = canvas.parentElement.clientWidth;
    if (wide !== known) { known = wide; drawAll(); }
  }).observe(canvas.parentElement);
  addEventListener("beforeprint", () => { seen = true; });
  separatrix.onTheme(() => drawAll(document.documentElement.classList.contains("printing")));  // paper does not wait
  const head = () => {
    if (cell && picture && focus !== null && focus < count) drawHead(focus);
    if (cell && picture) drawHead(atlas.state.head);
    focus = atlas.state.head;
    canvas.setAttribute("aria-label", "Small maps of all heads on the chosen text, layers down, heads across; chosen: " + describe(focus));
  };
  return { head, window: drawAll, mark: drawAll };
};

// Windows of the chosen head from the lowest to the highest value of a descriptor.
separatrix.atlasParts.deciles = (section, data, atlas) => {
  const box = section.querySelector(".deciles");
  if (!box) return {};
  const { labels, names, numbers, texts, low, high } = data.deciles, select = box.querySelector("select");
  const decode = (text) => new Uint16Array(separatrix.bytes(text).buffer);
  const windows = decode(data.deciles.windows), values = decode(data.deciles.values), shown = new Map();
  data.windows.forEach((window, at) => { if (window.number !== null) shown.set(window.number, at); });
  select.append(...names.map((name, at) => separatrix.element("option", name, { value: at })));
  const write = () => {
    const kind = Number(select.value), start = (atlas.state.head * names.length + kind) * labels.length;
    box.querySelector(".of").textContent = atlas.place(atlas.state.head);
    box.querySelector("tbody").replaceChildren(...labels.map((label, place) => {
      const row = separatrix.element("tr"), text = separatrix.element("td"), window = windows[start + place];
      const value = low[kind] + (values[start + place] / 65535) * (high[kind] - low[kind]), at = shown.get(numbers[window]);
      if (at === undefined) text.textContent = texts[window];
      else {
        const button = separatrix.element("button", texts[window], { type: "button", class: "plain" });
        button.addEventListener("click", () => atlas.open(at));
        text.append(button);
      }
      row.append(separatrix.element("th", label, { scope: "row" }), separatrix.element("td", atlas.short(value), { class: "number" }),
        separatrix.element("td", String(numbers[window]), { class: "number" }), text);
      return row;
    }));
  };
  select.addEventListener("change", write);
  return { head: write };
};
