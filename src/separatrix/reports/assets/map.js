// The section of the maps: which map, which moment, what is coloured how, the chosen row and its neighbors.
separatrix.NEIGHBORS = 8;  // rows nearest on the map that are drawn and listed
separatrix.draw.map = async (section, data) => {
  const find = (name) => section.querySelector("." + name), on = (name, event, act) => find(name) && find(name).addEventListener(event, act);
  const table = await separatrix.table(), columns = new separatrix.Columns(data.columns), { selection } = table, rows = table.rows;
  const state = { map: 0, frame: 0, by: "label", timer: 0, rings: true };
  let loaded = null, last = null;

  const scatter = new separatrix.Scatter(find("plane"), { rows, names: data.legend, looks: data.looks, group: data.group, groups: data.groups,
    describe: async (row) => [facts(row), (await table.text(row)).slice(0, 400)],
    chosen: (row) => table.choose(row),
    selected: (mask) => (mask.some((bit) => bit) ? selection.set("area", "area of the map", mask) : selection.clear("area")) });

  // The columns of a map
  const load = async (number) => {
    const map = data.maps[number], get = (name) => (map[name] ? columns.numbers(map[name]) : null);
    const [positions, index, predicted, marks, pale] = await Promise.all(["positions", "rows", "predicted", "marks", "pale"].map(get));
    const present = new Int32Array(rows).fill(-1), own = index || Uint32Array.from({ length: rows }, (_, row) => row);
    own.forEach((row, at) => { present[row] = at; });
    return { ...map, positions, predicted, marks, pale, present, count: own.length, last: map.titles.length - 1 };
  };
  const guess = (row) => (loaded.predicted && loaded.present[row] >= 0 ? loaded.predicted[state.frame * loaded.count + loaded.present[row]] : table.predicted ? table.predicted[row] : -1);
  const wrong = (row) => table.answered(row) && table.label !== null && guess(row) !== table.label[row];
  const facts = (row) => (!table.answered(row) ? table.facts(row)
    : table.names[table.label[row]] + (wrong(row) ? ", predicted " + table.names[guess(row)] : ", predicted so"));
  // Where the kinds of each clustering begin among the looks
  const starts = [];
  (table.clusterings || []).reduce((start, one) => { starts.push(start); return start + one.names.length + 1; }, 2 * table.names.length + 2);
  // Places of all rows: rows that are not on the map stay where they were, hidden.
  const places = () => {
    const { positions, present, dims, count } = loaded, start = state.frame * count * dims;
    if (count === rows && !data.maps[state.map].rows) return positions.subarray(start, start + rows * dims);
    const all = last && last.dims === dims ? last.positions.slice() : new Uint16Array(rows * dims);
    for (let row = 0; row < rows; row += 1) {
      if (present[row] < 0) continue;
      for (let axis = 0; axis < dims; axis += 1) {
        const value = positions[start + present[row] * dims + axis];
        if (last && last.dims === dims && last.present[row] < 0) last.positions[row * dims + axis] = value;
        all[row * dims + axis] = value;
      }
    }
    return all;
  };
  const kindOf = (row) => {
    if (state.by === "right") return 2 * table.names.length + (wrong(row) ? 1 : 0);
    if (state.by.startsWith("cluster-")) { const which = Number(state.by.slice(8)); return starts[which] + table.clusters[which][row]; }
    const kind = state.by === "predicted" && table.answered(row) ? guess(row) : table.label === null ? 0 : table.label[row];
    return loaded.pale && loaded.pale[loaded.present[row]] ? kind + table.names.length : kind;
  };
  const paint = () => {
    const kinds = new Uint16Array(rows), states = new Uint8Array(rows), judged = table.predicted !== null;
    let kept = 0, off = 0;
    for (let row = 0; row < rows; row += 1) {
      if (loaded.present[row] < 0) continue;
      const ring = judged && wrong(row);
      kinds[row] = kindOf(row);
      states[row] = (selection.kept[row] ? 2 : 1) + (ring && state.rings ? 4 : 0);
      kept += selection.kept[row];
      off += ring;
    }
    scatter.paint(kinds, states);
    Object.assign(section.dataset, { kept, wrong: off });
    legend();
  };
  const move = (glide = true) => {
    const positions = places(), map = { positions, dims: loaded.dims, spans: loaded.spans, present: loaded.present };
    last = map;
    scatter.marks = loaded.marks && loaded.marks.subarray(2 * table.names.length * state.frame, 2 * table.names.length * (state.frame + 1));
    scatter.show(map, glide);
    paint();
    write();
    if (table.row >= 0) connect(table.row);
  };
  const write = () => {
    const title = loaded.titles[state.frame];
    if (find("time")) {
      find("time").value = state.frame;
      find("time").setAttribute("aria-valuetext", title);
      find("moment").textContent = title;
    }
    find("tally").textContent = loaded.scores[state.frame] || "";
    Object.assign(section.dataset, { frame: state.frame, map: state.map, rows: loaded.count });
  };
  const go = (frame) => { state.frame = Math.min(Math.max(frame, 0), loaded.last); move(); };
  const turnTo = async (number, frame = Infinity) => {
    play(false);
    loaded = await load(number);
    if (loaded.answers !== null) await table.answerBy(loaded.answers);
    state.map = number;
    state.frame = Math.min(frame, loaded.last);
    if (find("which")) find("which").value = number;
    if (find("time")) find("time").max = loaded.last;
    if (find("time")) find("training").hidden = loaded.last === 0;
    find("fidelity").textContent = loaded.note;
    find("axes").textContent = loaded.axes.join(" \u00b7 ");
    if (loaded.dims === 3 && scatter.mode === "move") scatter.mode = "turn";
    move(last !== null);
  };
  const play = (going) => {
    clearInterval(state.timer);
    if (!find("play")) return;
    state.timer = going ? setInterval(() => (state.frame >= loaded.last ? play(false) : go(state.frame + 1)), 300) : 0;
    find("play").textContent = going ? "Pause" : "Play";
    find("play").setAttribute("aria-pressed", String(going));
    if (going && state.frame >= loaded.last) go(0);
  };

  // Buttons of the classes: press to see these alone.
  const buttons = table.names.map((name, k) => {
    const button = separatrix.element("button", "", { type: "button", "aria-pressed": "false", title: name });
    button.append(separatrix.mark(data.looks[k]), separatrix.element("span", name, { dir: "auto" }), separatrix.element("b"));
    button.addEventListener("click", () => table.toggleClass(k));
    return button;
  });
  find("legend").replaceChildren(...(data.order || [...buttons.keys()]).map((k) => buttons[k]));
  const legend = () => {
    const counts = new Uint32Array(table.names.length);
    for (let row = 0; row < rows; row += 1) if (loaded.present[row] >= 0 && table.label !== null) counts[table.label[row]] += 1;
    buttons.forEach((button, k) => {
      button.lastChild.textContent = counts[k];
      button.hidden = counts[k] === 0 && table.names.length > 30;
      button.setAttribute("aria-pressed", String(table.classOn(k)));
    });
  };

  // The chosen row: its text, its answer, and what lies beside it.
  const connect = (row) => {
    const here = loaded.present[row] >= 0, places = scatter.places();
    const reach = 0.5, near = here ? scatter.nearby().nearest(places[2 * row], places[2 * row + 1], reach, separatrix.NEIGHBORS + 1).filter((one) => one !== row) : [];
    scatter.choose(here ? row : -1, near);
    return near;
  };
  const answers = async (row) => {
    const list = separatrix.element("ol", "", { class: "answers" }), [best, steps] = await Promise.all(["best", "best_p"].map((name) => table.columns.numbers(name + table.end)));
    if (!best || table.top[row] === 65535) return list;
    const width = best.length / rows;
    for (let at = row * width; at < (row + 1) * width; at += 1) {
      const item = separatrix.element("li", "", {}), bar = separatrix.element("i"), share = steps[at] / 65534;
      bar.style.width = 100 * share + "%";
      item.append(separatrix.element("span", table.names[best[at]], { dir: "auto" }), bar, separatrix.element("b", separatrix.share(share)));
      list.append(item);
    }
    return list;
  };
  // A button to a map that has the row, of the same answers if there is one.
  const elsewhere = async (row) => {
    const has = await Promise.all(data.maps.map(async (map) => !map.rows || (await columns.numbers(map.rows)).includes(row)));
    const others = [...has.keys()].filter((number) => has[number] && number !== state.map);
    const number = others.find((one) => data.maps[one].answers === loaded.answers) ?? others[0];
    if (number === undefined) return [];
    const button = separatrix.element("button", "Show it on the map: " + data.maps[number].title, { type: "button", class: "elsewhere", dir: "auto" });
    button.addEventListener("click", () => turnTo(number).then(() => table.choose(row)));
    return [button];
  };
  const detail = async (row) => {
    const near = connect(row), off = wrong(row);
    section.dataset.row = row;
    const [text, id, list, other, ...others] = await Promise.all([table.text(row), table.id(row), answers(row),
      loaded.present[row] < 0 ? elsewhere(row) : [], ...near.map((one) => table.text(one))]);
    if (table.row !== row) return;
    const neighbors = listed(near, others, "Nearest rows on this map"), signs = table.cut(row);
    const where = [table.splitOf(row), "row " + row, id === String(row) ? "" : "id " + separatrix.short(id), loaded.present[row] < 0 ? "not on this map" : ""].filter((part) => part).join(", ");
    const odd = [Number.isNaN(table.suspected(row)) ? "" : "label likely wrong (" + separatrix.share(table.suspected(row)) + ")",
      table.unknown !== null && table.unknown[row] ? table.unknown[row] + " tokens that the tokenizer does not know" : ""].filter((part) => part);
    find("detail").replaceChildren(separatrix.element("p", text, { class: "words", dir: "auto" }),
      ...(signs ? [separatrix.element("p", "Cut: the text has " + signs.toLocaleString("en") + " signs, this page holds the first " + text.length.toLocaleString("en") + ". separatrix explore shows the whole.", { class: "quiet cut" })] : []),
      separatrix.element("p", where + " - " + facts(row) + (off ? ", wrong" : "") + odd.map((part) => "; " + part).join(""), { class: off ? "facts off" : "facts" }), ...other, list, neighbors);
    const words = find("words");  // keys scroll a long text
    if (words.scrollHeight > words.clientHeight) separatrix.fill(words, "", { tabindex: "0", role: "region", "aria-label": "Text of the row" });
    if (table.vectors) await vectors(row, neighbors);
  };
  // Where a server has the vectors: their neighbors in place of those on the map.
  const vectors = async (row, before) => {
    try {
      const { rows: near, distances, metric } = await table.neighbors(row, separatrix.NEIGHBORS), others = await Promise.all(near.map((one) => table.text(one)));
      if (table.row !== row) return;
      scatter.choose(loaded.present[row] >= 0 ? row : -1, near.filter((one) => loaded.present[one] >= 0));
      before.replaceWith(listed(near, others, "Nearest rows by their vectors, " + metric + " distance", distances));
      section.dataset.near = near.join();
    } catch (error) {
      before.before(separatrix.element("p", error.message, { class: "quiet" }));
    }
  };
  // Buttons of rows, each with the beginning of its text
  const listed = (near, texts, title, distances) => {
    const list = separatrix.element("ul", "", { class: "near", "aria-label": title });
    list.append(separatrix.element("li", title, { class: "quiet" }));
    texts.forEach((text, at) => {
      const button = separatrix.element("button", "", { type: "button" }), item = separatrix.element("li");
      button.append(separatrix.mark(data.looks[table.label === null ? 0 : table.label[near[at]]]), separatrix.element("span", (distances ? distances[at].toFixed(3) + "  " : "") + text.slice(0, 160), { dir: "auto" }));
      button.addEventListener("click", () => table.choose(near[at]));
      item.append(button);
      list.append(item);
    });
    return list;
  };
  table.onChoose(detail);
  const walk = (step, fits) => {
    for (let tried = 0, row = table.row < 0 && step < 0 ? 0 : table.row; tried < rows; tried += 1) {
      row = (row + step + rows) % rows;
      if (selection.kept[row] && loaded.present[row] >= 0 && fits(row)) return table.choose(row);
    }
    return undefined;
  };
  const any = () => true;

  selection.subscribe(() => { paint(); scatter.near = -1; });
  on("which", "change", (event) => turnTo(Number(event.target.value)));
  on("time", "input", () => { play(false); go(Number(find("time").value)); });
  on("play", "click", () => play(!state.timer));
  on("colour", "change", (event) => { state.by = event.target.value; paint(); });
  on("back", "click", () => walk(-1, any));
  on("next", "click", () => walk(1, any));
  on("wrong-next", "click", () => walk(1, wrong));
  on("nearer", "click", () => scatter.zoom(1.6));
  on("farther", "click", () => scatter.zoom(1 / 1.6));
  on("whole", "click", () => scatter.reset());
  for (const name of ["dots", "labels", "dense", "rings"]) {
    on(name, "change", (event) => {
      if (name === "rings") { state.rings = event.target.checked; paint(); } else { scatter[name] = event.target.checked; scatter.dirty(); }
    });
  }
  for (const input of section.querySelectorAll(".modes input")) {
    input.addEventListener("change", () => {
      scatter.mode = input.value === "move" && loaded.dims === 3 ? "turn" : input.value;
      find("plane").classList.toggle("draws", input.value !== "move");
    });
  }
  find("plane").addEventListener("keydown", (event) => {
    const { key } = event;
    const act = { ArrowRight: () => walk(1, any), ArrowLeft: () => walk(-1, any), w: () => walk(1, wrong), W: () => walk(1, wrong),
      "+": () => scatter.zoom(1.6), "=": () => scatter.zoom(1.6), "-": () => scatter.zoom(1 / 1.6), 0: () => scatter.reset(),
      Escape: selection.has("area") && (() => selection.clear("area")) }[key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });

  // #frame=3&row=12 (and view=1 for another map) opens a moment and a row, so that a place on the map can be linked to.
  const follow = async () => {
    const wish = new URLSearchParams(location.hash.slice(1)), number = (name) => parseInt(wish.get(name), 10);
    const [frame, row, view] = [number("frame"), number("row"), number("view")];
    if (view >= 0 && view < data.maps.length) await turnTo(view, frame >= 0 ? frame : Infinity);
    else if (frame >= 0) go(frame);
    if (frame >= 0 || row >= 0) section.scrollIntoView({ behavior: "instant" });
    if (row >= 0) table.choose(Math.min(row, rows - 1));
  };
  separatrix.maps = (separatrix.maps || []).concat(scatter);
  await turnTo(data.first || 0);
  addEventListener("hashchange", follow);
  return follow();
};
