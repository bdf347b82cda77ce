// The atlas: a grid of heads, and the maps of the chosen one. State that a reader can change: head, window, measure,
// the part of the map in view, and the query whose attention shades the words.
separatrix.bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));

// 0 .. 255 -> white, accent, nearly black
separatrix.ramp = (() => {
  const stops = [[255, 255, 255], [169, 208, 207], [15, 110, 114], [6, 47, 49]];
  return Array.from({ length: 256 }, (_, level) => {
    const place = (level / 255) * (stops.length - 1), low = Math.min(Math.floor(place), stops.length - 2);
    return stops[low].map((part, band) => Math.round(part + (place - low) * (stops[low + 1][band] - part)));
  });
})();

separatrix.picture = (levels, side, start) => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"), image = context.createImageData(side, side);
  for (let cell = 0; cell < side * side; cell += 1) {
    const colour = separatrix.ramp[levels[start + cell]];
    image.data.set([colour[0], colour[1], colour[2], 255], 4 * cell);
  }
  context.putImageData(image, 0, 0);
  return canvas;
};

separatrix.draw.atlas = (section, data) => {
  const find = (name) => section.querySelector("." + name);
  const names = Object.keys(data.measures), count = data.layers * data.heads;
  const maps = data.windows.map(() => null);
  const state = { head: 0, window: 0, measure: "cluster", query: -1, key: -1, pinned: false, left: 0, top: 0, seen: 0, marked: null };
  section.state = state;
  const words = () => data.windows[state.window].words;
  const quoted = (place) => "\u201c" + words()[place].trim() + "\u201d";
  const side = () => words().length;
  const levels = () => (maps[state.window] = maps[state.window] || separatrix.bytes(data.windows[state.window].maps));
  const level = (query, key) => levels()[(state.head * side() + query) * side() + key];
  const weight = (query, key) => (level(query, key) / 255) ** 2;
  const percent = (value) => (100 * value).toFixed(value < 0.1 ? 1 : 0) + " %";
  const place = (head) => "layer " + Math.floor(head / data.heads) + ", head " + (head % data.heads);
  const short = (value) => (value === null ? "-" : Math.abs(value) >= 100 || value === 0 ? String(Math.round(value)) : value.toPrecision(3));

  const special = (word) => /^ ?(\[.*\]|<.*>)$/.test(word);
  const beginning = (window) => {
    const text = window.words.filter((word) => !special(word)).join("").trim();
    return text.length > 60 ? text.slice(0, 57) + "..." : text;
  };
  const parts = [];
  const tell = (what) => parts.forEach((part) => { if (part[what]) part[what](); });

  // The grid of heads.
  const grid = find("heads"), buttons = [];
  grid.style.gridTemplateColumns = "1.6rem repeat(" + data.heads + ", 1fr)";
  grid.append(separatrix.element("span", "", { class: "tick" }));
  for (let head = 0; head < data.heads; head += 1) grid.append(separatrix.element("span", String(head), { class: "tick" }));
  for (let head = 0; head < count; head += 1) {
    if (head % data.heads === 0) grid.append(separatrix.element("span", String(head / data.heads), { class: "tick" }));
    const button = separatrix.element("button", "", { type: "button" });
    button.addEventListener("click", () => choose(head));
    buttons.push(button);
    grid.append(button);
  }
  const paint = () => {
    const values = data.measures[state.measure], known = (values || []).filter((value) => value !== null);
    const low = Math.min(...known), high = Math.max(...known);
    buttons.forEach((button, head) => {
      if (!values) {
        button.style.background = data.colours[data.clusters[head]];
        button.style.color = data.inks[data.clusters[head]];
        button.textContent = data.clusters[head] < 0 ? "-" : data.clusters[head];
      } else {
        const share = high > low ? (values[head] - low) / (high - low) : 0;
        button.style.background = "rgb(" + separatrix.ramp[Math.round(share * 170)].join() + ")";
        button.textContent = "";
      }
      button.title = place(head) + (values ? ": " + short(values[head]) : data.clusters[head] < 0 ? ": noise" : ": cluster " + data.clusters[head]);
      button.setAttribute("aria-label", button.title);
    });
    find("scale").textContent = values ? state.measure.replaceAll("_", " ") + ": " + short(low) + " (white) to " + short(high)
      : "the number and colour of the cluster that the head is mostly in";
  };

  // The map: only the part in view is drawn, so a cell can be as large as a finger.
  const canvas = find("map");
  let cache = { key: "", image: null };
  const image = () => {
    const key = state.window + "/" + state.head;
    if (cache.key !== key) cache = { key, image: separatrix.picture(levels(), side(), state.head * side() * side()) };
    return cache.image;
  };
  const drawMap = () => {
    const context = canvas.getContext("2d"), size = canvas.width, margin = state.seen <= 40 ? 90 : 14;
    const cell = (size - margin) / state.seen;
    state.margin = margin;
    context.clearRect(0, 0, size, size);
    context.imageSmoothingEnabled = false;
    context.drawImage(image(), state.left, state.top, state.seen, state.seen, margin, margin, size - margin, size - margin);
    context.font = Math.min(cell * 0.8, 15) + "px sans-serif";
    context.fillStyle = "#333b46";
    if (margin > 14) {
      for (let step = 0; step < Math.ceil(state.seen); step += 1) {
        const column = Math.floor(state.left) + step, row = Math.floor(state.top) + step;
        context.textAlign = "right";
        if (row < side()) context.fillText(words()[row].trim().slice(0, 12), margin - 4, margin + (row - state.top + 0.7) * cell);
        if (column >= side()) continue;
        context.save();
        context.translate(margin + (column - state.left + 0.7) * cell, margin - 4);
        context.rotate(-Math.PI / 2);
        context.textAlign = "left";
        context.fillText(words()[column].trim().slice(0, 12), 0, 0);
        context.restore();
      }
    }
    if (state.query >= 0) {
      context.strokeStyle = "#c2410c";
      context.lineWidth = 1.5;
      context.strokeRect(margin, margin + (state.query - state.top) * cell, size - margin, cell);
      if (state.key >= 0) context.strokeRect(margin + (state.key - state.left) * cell, margin + (state.query - state.top) * cell, cell, cell);
    }
  };
  const zoom = (factor, x, y) => {
    const seen = Math.min(side(), Math.max(4, state.seen * factor)), limit = side() - seen;
    const bound = (start) => Math.min(Math.max(start, 0), limit);
    const across = x === undefined ? 0.5 : x, down = y === undefined ? 0.5 : y;
    state.left = bound(state.left + (state.seen - seen) * across);
    state.top = bound(state.top + (state.seen - seen) * down);
    state.seen = seen;
    section.dataset.seen = seen.toFixed(1);
    drawMap();
  };
  const under = (event) => {
    const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width, size = canvas.width - state.margin;
    const x = ((event.clientX - box.left) * scale - state.margin) / size, y = ((event.clientY - box.top) * scale - state.margin) / size;
    return { x, y, key: Math.floor(state.left + x * state.seen), query: Math.floor(state.top + y * state.seen) };
  };

  // The words, shaded by the chosen query.
  const shade = () => {
    const marks = find("words").children, row = Array.from({ length: side() }, (_, key) => (state.query < 0 ? 0 : weight(state.query, key)));
    const most = Math.max(...row, 1e-9);
    find("words").classList.toggle("shaded", state.query >= 0);
    row.forEach((value, key) => {
      marks[key].style.setProperty("--share", state.query < 0 ? 0 : (0.85 * value / most).toFixed(3));
      marks[key].classList.toggle("query", key === state.query);
      marks[key].title = state.query < 0 ? "" : percent(value);
    });
    if (state.query < 0) return;
    const order = [...row.keys()].sort((one, other) => row[other] - row[one]).slice(0, 4);
    const main = state.key >= 0 ? "gives " + percent(weight(state.query, state.key)) + " to " + quoted(state.key) + " (" + state.key + "); " : "";
    find("readout").textContent = quoted(state.query) + " (" + state.query + ") " + main + "most to " +
      order.map((key) => quoted(key) + " " + percent(row[key])).join(", ");
  };
  const look = (query, key) => {
    state.query = query;
    state.key = key;
    section.dataset.query = query;
    drawMap();
    shade();
  };
  const writeWords = () => {
    find("words").replaceChildren(...words().map((word, query) => {
      const mark = separatrix.element("span", word, special(word) ? { class: "special" } : {});
      mark.addEventListener("click", () => { state.pinned = true; look(query, -1); });
      return mark;
    }));
  };

  // Name and figures of a head.
  const writeHead = () => {
    const cluster = data.clusters[state.head];
    find("name").textContent = place(state.head)[0].toUpperCase() + place(state.head).slice(1) + " - " +
      (cluster < 0 ? "noise" : "cluster " + cluster);
    find("does").textContent = data.sentences ? data.sentences[state.head] : "";
    buttons.forEach((button, head) => {
      button.setAttribute("aria-pressed", String(head === state.head));
      button.tabIndex = head === state.head ? 0 : -1;
    });
    find("nearest").replaceChildren(...data.nearest[state.head].map(([head, distance]) => {
      const item = separatrix.element("li"), button = separatrix.element("button", place(head), { type: "button" });
      button.addEventListener("click", () => choose(head));
      item.append(button, " " + distance.toFixed(3));
      return item;
    }));
    find("facts").tBodies[0].replaceChildren(...names.map((name) => {
      const row = separatrix.element("tr"), values = data.measures[name];
      const rank = values.filter((value) => value > values[state.head]).length + 1;
      row.append(separatrix.element("th", name.replaceAll("_", " "), { scope: "row" }),
        separatrix.element("td", short(values[state.head]), { class: "number" }), separatrix.element("td", rank + " of " + count, { class: "number quiet" }));
      return row;
    }));
    const mean = data.means[cluster], canvas = find("mean").getContext("2d");
    canvas.clearRect(0, 0, 160, 160);
    canvas.imageSmoothingEnabled = false;
    if (mean) canvas.drawImage(separatrix.picture(separatrix.bytes(mean.map), mean.cells, 0), 0, 0, 160, 160);
    Object.assign(section.dataset, { head: state.head, cluster, window: state.window });
  };
  const choose = (head) => {
    state.head = ((head % count) + count) % count;
    writeHead();
    drawMap();
    shade();
    tell("head");
  };
  const read = (window) => {
    Object.assign(state, { window, query: -1, key: -1, pinned: false, left: 0, top: 0 });
    state.seen = side();
    writeWords();
    zoom(1);
    writeHead();
    find("origin").textContent = data.windows[window].title;
    tell("window");
  };
  const open = (window) => {
    find("window").value = window;
    read(window);
    find("one").scrollIntoView({ block: "nearest" });
  };
  const mark = () => {
    buttons.forEach((button, head) => button.classList.toggle("marked", data.clusters[head] === state.marked));
    tell("mark");
  };

  find("measure").append(...["cluster", ...names].map((name) => separatrix.element("option", name.replaceAll("_", " "), { value: name })));
  find("window").append(...data.windows.map((window, at) => separatrix.element("option", beginning(window) + " (" + window.words.length + " tokens)", { value: at })));
  find("measure").addEventListener("change", (event) => { state.measure = event.target.value; paint(); });
  find("window").addEventListener("change", (event) => read(Number(event.target.value)));
  find("nearer").addEventListener("click", () => zoom(0.6));
  find("farther").addEventListener("click", () => zoom(1 / 0.6));
  find("whole").addEventListener("click", () => zoom(1e9));
  let drag = null;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const at = under(event);
    zoom(event.deltaY < 0 ? 0.8 : 1.25, at.x, at.y);
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { drag = { ...under(event), left: state.left, top: state.top, moved: false }; });
  addEventListener("pointerup", () => { if (drag && !drag.moved) state.pinned = !state.pinned; drag = null; });
  canvas.addEventListener("pointermove", (event) => {
    const at = under(event), limit = side() - state.seen, bound = (start) => Math.min(Math.max(start, 0), limit);
    if (drag && limit > 0 && (drag.moved || Math.hypot(at.x - drag.x, at.y - drag.y) > 0.02)) {
      drag.moved = true;
      state.left = bound(drag.left + (drag.x - at.x) * state.seen);
      state.top = bound(drag.top + (drag.y - at.y) * state.seen);
      drawMap();
    } else if (!state.pinned && at.x >= 0 && at.y >= 0 && at.key < side() && at.query < side()) look(at.query, at.key);
  });
  // Arrow keys go from weight to weight; what leaves the part in view takes it along.
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    const act = { "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: () => zoom(1e9) }[event.key];
    if ((!step && !act) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (act) { act(); return; }
    const bound = (value) => Math.min(Math.max(value, 0), side() - 1), follow = (start, at) => Math.min(Math.max(start, at + 1 - state.seen), at);
    const [query, key] = state.query < 0 ? [0, 0] : [bound(state.query + step[0]), bound(Math.max(state.key, 0) + step[1])];
    Object.assign(state, { left: follow(state.left, key), top: follow(state.top, query), pinned: true });
    look(query, key);
  });
  grid.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: data.heads, ArrowUp: -data.heads }[event.key];
    if (step) { event.preventDefault(); choose(state.head + step); buttons[state.head].focus(); }
  });
  // #layer=3&head=5&window=1 opens a head.
  const follow = () => {
    const wish = new URLSearchParams(location.hash.slice(1)), number = (name) => parseInt(wish.get(name), 10);
    if (number("window") < data.windows.length && number("window") >= 0) open(number("window"));
    if (number("layer") < data.layers && number("head") < data.heads) choose(number("layer") * data.heads + number("head"));
  };
  addEventListener("hashchange", follow);
  const atlas = { state, choose, open, mark, place, short, levels, side };
  parts.push(...Object.values(separatrix.atlasParts).map((part) => part(section, data, atlas)));
  paint();
  read(0);
  choose(0);
  follow();
  return undefined;
};
