// The training as a map. All state that a reader can change: frame, chosen row, hidden classes.
separatrix.draw.map = (section, data) => {
  const find = (name) => section.querySelector("." + name);
  const plane = find("plane"), time = find("time");
  const labels = separatrix.numbers(data.labels), predicted = separatrix.numbers(data.predicted);
  const points = separatrix.numbers(data.points), centroids = data.centroids && separatrix.numbers(data.centroids);
  const rows = labels.length, classes = data.names.length, last = data.titles.length - 1;
  const [left, right, bottom, top] = data.box;
  const x = (steps, place) => left + (steps[2 * place] / 65535) * (right - left);
  const y = (steps, place) => bottom + (steps[2 * place + 1] / 65535) * (top - bottom);
  const state = section.state || { frame: last, row: -1, hidden: new Set(), timer: 0, by: "label" };
  const first = !section.state;
  section.state = state;
  const guess = (row) => predicted[state.frame * rows + row];
  const painted = (row) => (state.by === "label" ? labels[row] : guess(row));
  const groups = () => {
    const lists = data.names.map(() => []);
    for (let row = 0; row < rows; row += 1) lists[painted(row)].push(row);
    return lists;
  };

  // Traces: one per class, then rings, centroids, the chosen row. Foreign text is escaped by the maker of the data.
  const hover = (row) => data.hovers[row] + "<br><br><b>" + data.hoverNames[labels[row]] + "</b>, " +
    (guess(row) === labels[row] ? "predicted so" : "predicted " + data.hoverNames[guess(row)]);
  const places = (list) => ({ x: list.map((row) => x(points, state.frame * rows + row)), y: list.map((row) => y(points, state.frame * rows + row)) });
  const content = () => {
    const shown = (k) => !state.hidden.has(k);
    const traces = groups().map((list, k) => (shown(k) ? { ...places(list), customdata: list.map(hover) } : { x: [], y: [], customdata: [] }));
    const wrong = [...labels.keys()].filter((row) => guess(row) !== labels[row] && shown(painted(row)));
    traces.push({ ...places(wrong), customdata: [] });
    const kept = centroids ? data.names.map((_, k) => k).filter(shown) : [];
    const at = kept.map((k) => state.frame * classes + k);
    traces.push({ x: at.map((place) => x(centroids, place)), y: at.map((place) => y(centroids, place)),
      customdata: kept.map((k) => "centroid of <b>" + data.hoverNames[k] + "</b>") });
    traces.push({ ...places(state.row >= 0 ? [state.row] : []), customdata: [] });
    return traces;
  };

  const draw = () => {
    const theme = separatrix.theme(), size = (rows > 400 ? 7 : 9) - (plane.clientWidth < 500 ? 2 : 0), many = classes > 20;
    const ring = { color: theme.ink, width: 1.1 }, shown = data.looks.filter((_, k) => !state.hidden.has(k));
    const looks = [
      ...data.looks.map(([color, symbol]) => ({ color, symbol, size, opacity: 0.8, line: { width: theme.dark ? 0.6 : 0, color: "rgba(255,255,255,.55)" } })),
      { color: ring.color, symbol: "circle-open", size: size + 6, line: ring },
      { color: shown.map(([color]) => color), symbol: shown.map(([, symbol]) => symbol), size: many ? 13 : 20, opacity: 1, line: { color: theme.ink, width: 2 } },
      { color: theme.accent, symbol: "circle-open", size: size + 13, line: { color: theme.accent, width: 3 } }];
    const traces = content().map((part, place) => ({ ...part, type: "scatter", mode: "markers", marker: looks[place],
      hovertemplate: "%{customdata}<extra></extra>", hoverinfo: part.customdata.length ? "text" : "skip" }));
    const layout = separatrix.layout(theme, { hovermode: "closest", dragmode: "zoom", uirevision: "kept",
      xaxis: separatrix.axis(theme, data.axes[0], { range: [left, right] }),
      yaxis: separatrix.axis(theme, data.axes[1], { range: [bottom, top], scaleanchor: "x", scaleratio: 1 }) });
    return Plotly.react(plane, traces, layout, separatrix.config);
  };

  const write = () => {
    const wrong = [...labels.keys()].filter((row) => guess(row) !== labels[row]).length;
    time.value = state.frame;
    time.setAttribute("aria-valuetext", data.titles[state.frame]);
    find("moment").textContent = data.titles[state.frame];
    find("tally").textContent = data.scores[state.frame];
    Object.assign(section.dataset, { frame: state.frame, rows, wrong, row: state.row });
    if (state.row < 0) return;
    const off = guess(state.row) !== labels[state.row];
    find("detail").replaceChildren(
      separatrix.element("p", data.texts[state.row], { class: "said" }),
      separatrix.element("p", "row " + state.row + " - label " + data.names[labels[state.row]] + " - predicted " +
        data.names[guess(state.row)] + (off ? ", wrong" : ""), { class: off ? "facts off" : "facts" }));
  };
  const refresh = () => { write(); if (state.by !== "label") legend(); return draw(); };
  const go = (frame) => { state.frame = Math.min(Math.max(frame, 0), last); return refresh(); };
  const pick = async (row) => {
    state.row = ((row % rows) + rows) % rows;
    state.hidden.delete(painted(state.row));
    legend();
    await refresh();
    const curve = painted(state.row);
    Plotly.Fx.hover(plane, [{ curveNumber: curve, pointNumber: groups()[curve].indexOf(state.row) }]);
  };
  const pickWrong = () => {
    for (let step = 1; step <= rows; step += 1) {
      const row = (Math.max(state.row, -1) + step) % rows;
      if (guess(row) !== labels[row]) return pick(row);
    }
    return undefined;
  };
  const play = (on) => {
    clearInterval(state.timer);
    state.timer = on ? setInterval(() => (state.frame >= last ? play(false) : go(state.frame + 1)), 180) : 0;
    find("play").textContent = on ? "Pause" : "Play";
    find("play").setAttribute("aria-pressed", String(on));
    if (on && state.frame >= last) go(0);
  };

  const SHAPES = { circle: "M6 1a5 5 0 1 0 .01 0z", square: "M1.5 1.5h9v9h-9z", "triangle-up": "M6 1 11 10.5H1z",
    "triangle-down": "M6 11 1 1.5h10z", diamond: "M6 .5 11.5 6 6 11.5.5 6z", cross: "M4 1h4v3h3v4H8v3H4V8H1V4h3z" };
  const legend = () => {
    const lists = groups();
    find("legend").replaceChildren(...data.names.map((name, k) => {
      const button = separatrix.element("button", "", { type: "button", "aria-pressed": String(!state.hidden.has(k)) });
      button.innerHTML = '<svg viewBox="0 0 12 12" aria-hidden="true"><path/></svg>';
      button.querySelector("path").setAttribute("d", SHAPES[data.looks[k][1]]);
      button.querySelector("path").setAttribute("fill", data.looks[k][0]);
      button.append(separatrix.element("span", name), separatrix.element("b", String(lists[k].length)));
      button.addEventListener("click", () => {
        if (!state.hidden.delete(k)) state.hidden.add(k);
        button.setAttribute("aria-pressed", String(!state.hidden.has(k)));
        refresh();
      });
      return button;
    }));
  };

  // #frame=3&row=12 (and map=train-map for another map) opens a moment and a row, so that a place on the map can be linked to.
  const follow = () => {
    const wish = new URLSearchParams(location.hash.slice(1));
    if ((wish.get("map") || "map") !== section.id) return refresh();
    const frame = parseInt(wish.get("frame"), 10), row = parseInt(wish.get("row"), 10);
    if (frame >= 0) state.frame = Math.min(frame, last);
    if (frame >= 0 || row >= 0) section.scrollIntoView({ behavior: "instant" });
    return row >= 0 ? pick(Math.min(row, rows - 1)) : refresh();
  };

  if (!first) return draw();
  legend();
  time.addEventListener("input", () => { play(false); go(Number(time.value)); });
  find("play").addEventListener("click", () => play(!state.timer));
  find("colour").addEventListener("change", (event) => { state.by = event.target.value; legend(); refresh(); });
  find("back").addEventListener("click", () => pick(state.row - 1));
  find("next").addEventListener("click", () => pick(state.row + 1));
  find("wrong-next").addEventListener("click", pickWrong);
  plane.addEventListener("keydown", (event) => {
    const act = { ArrowRight: () => pick(state.row + 1), ArrowLeft: () => pick(state.row - 1), w: pickWrong, W: pickWrong }[event.key];
    if (act && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); act(); }
  });
  addEventListener("hashchange", follow);
  return follow().then(() => plane.on("plotly_click", (event) => {
    const chosen = event.points[0];
    if (chosen.curveNumber < classes) pick(groups()[chosen.curveNumber][chosen.pointNumber]);
  }));
};
