// A sweep: table, curve against an axis, heat map of two axes. One setting, or those of a cell, are marked in all three.
separatrix.draw.sweep = (section, data) => {
  const find = (name) => section.querySelector("." + name), { axes: columns, lines, runs } = data, table = section.querySelector("table"), rows = [...table.tBodies[0].rows];
  const WIDTH = 460, HIGH = 230, LEFT = 48, LOW = 40, COLOURS = 6;
  const state = { part: "validation", marked: new Set(), only: Boolean(find("chosen")) };
  const several = columns.map((column, at) => ({ ...column, at })).filter((column) => column.values.length > 1);
  const runsOf = lines.map((_, at) => runs.filter((run) => run.line === at));
  const figure = (line) => line[state.part], shown = (line) => figure(line) && (!state.only || line.chosen || line.baseline);
  const number = (value) => (data.metric === "rmse" ? String(Number(value.toPrecision(4))) : value.toFixed(3));
  const span = ([mean, low, high]) => number(mean) + (low === null || low === undefined ? "" : " (" + number(low) + " to " + number(high) + ")");
  separatrix.sortable(table);

  const says = (at) => lines[at].label + ": " + data.parts.filter((part) => lines[at][part]).map((part) => part + " " + span(lines[at][part])).join(", ");
  const seeds = (at) => runsOf[at].map((run) => "seed " + run.seed + " " + number(run[state.part] ?? NaN)).join(", ");
  // The runs of settings: figures seed by seed, and a link to the page of a run where it stands beside.
  const list = (marked) => {
    const parts = marked.map((at) => {
      const block = separatrix.element("div", "", { class: "setting" });
      block.append(separatrix.element("p", says(at)));
      const items = runsOf[at].map((run) => {
        const figures = data.parts.filter((part) => part in run).map((part) => part + " " + number(run[part])).join(", "), item = separatrix.element("li", "seed " + run.seed + ": " + figures + " ");
        item.append(run.page ? separatrix.element("a", "page of the run", { href: run.page }) : separatrix.element("span", String(run.run), { class: "quiet" }));
        return item;
      });
      const all = separatrix.element("ul");
      all.append(...items);
      block.append(all);
      return block;
    });
    find("runs").replaceChildren(...(parts.length ? parts : [separatrix.element("p", "Press a mark or a line to see its runs.", { class: "quiet" })]));
  };
  const mark = (wanted) => {
    const same = wanted.length === state.marked.size && wanted.every((at) => state.marked.has(at));
    state.marked = new Set(same ? [] : wanted);
    section.dataset.marked = [...state.marked].join();
    list([...state.marked]);
    const held = section.contains(document.activeElement) && document.activeElement.closest("svg .dot, svg .cell");
    draw();
    if (held) section.querySelector("[role=button][aria-label=" + CSS.escape(held.getAttribute("aria-label")) + "]")?.focus();  // keys stay where they are
  };
  const point = (node, at, text) => {
    const tip = find("tip");
    node.addEventListener("pointerenter", () => { tip.textContent = text; tip.hidden = false; });
    node.addEventListener("pointerleave", () => { tip.hidden = true; });
    node.addEventListener("focus", () => { tip.textContent = text; tip.hidden = false; });
    node.addEventListener("blur", () => { tip.hidden = true; });
    node.addEventListener("click", () => mark(at));
    node.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); mark(at); } });
    separatrix.fill(node, "", { tabindex: "0", role: "button", "aria-label": text, "aria-pressed": String(at.every((one) => state.marked.has(one))) });
    return node;
  };
  const frame = (title) => separatrix.svg("svg", { viewBox: "0 0 " + (LEFT + WIDTH + 12) + " " + (HIGH + LOW + 12), role: "group", "aria-label": title });
  const write = (svg, x, y, text, anchor = "middle") => svg.append(separatrix.svg("text", { class: "tick", x, y, "text-anchor": anchor }, text));

  // Mean and interval of every setting that has the axis, a line for each combination of the others; baselines dashed.
  const curve = () => {
    const axis = columns[Number(find("axis").value)], known = lines.map((line, at) => ({ line, at })).filter(({ line }) => shown(line));
    const values = known.flatMap(({ line }) => figure(line)).filter((value) => Number.isFinite(value));
    const svg = frame(state.part + " " + data.metric + " against " + axis.name), low = Math.min(...values), high = Math.max(...values), room = 0.05 * (high - low || 1);
    const y = (value) => 8 + ((high + room - value) / (high - low + 2 * room)) * HIGH;
    const places = axis.values.map(Number), least = Math.min(...places), most = Math.max(...places), log = axis.numeric && least > 0 && most / least >= 8;
    const scale = (value) => (log ? Math.log(value) : value);
    const x = (value) => LEFT + 14 + (WIDTH - 28) * (axis.numeric ? (scale(Number(value)) - scale(least)) / (scale(most) - scale(least)) : axis.values.indexOf(value) / (axis.values.length - 1));
    for (const value of separatrix.ticks(low, high)) {
      svg.append(separatrix.svg("line", { class: "grid", x1: LEFT, x2: LEFT + WIDTH, y1: y(value), y2: y(value) }));
      write(svg, LEFT - 5, y(value) + 4, number(value), "end");
    }
    for (const value of axis.values) write(svg, x(value), HIGH + 24, value.length > 22 ? "\u2026" + value.slice(-21) : value);
    write(svg, LEFT + WIDTH / 2, HIGH + LOW + 6, axis.name + (log ? " (logarithmic)" : ""));
    const series = new Map();
    for (const one of known.filter(({ line }) => !line.baseline && line.at[columns.indexOf(axis)] !== null)) {
      const name = columns.filter((column) => column !== axis && column.values.length > 1 && !(state.only && column.tuned))
        .map((column) => (column.kind === "name" ? "" : column.name + "=") + one.line.at[columns.indexOf(column)]).join(", ") || data.metric;
      series.set(name, [...(series.get(name) || []), one]);
    }
    const place = columns.indexOf(axis), keys = [];
    [...series].forEach(([name, points], index) => {
      const kind = "line-" + (index % COLOURS), aside = 4 * (index - (series.size - 1) / 2);  // intervals stand beside one another
      points.sort((one, other) => axis.values.indexOf(one.line.at[place]) - axis.values.indexOf(other.line.at[place]));
      svg.append(separatrix.svg("polyline", { class: "curve " + kind, points: points.map(({ line }) => x(line.at[place]) + aside + "," + y(figure(line)[0])).join(" ") }));
      for (const { line, at } of points) {
        const [mean, below, above] = figure(line), across = x(line.at[place]) + aside;
        if (below !== null && below !== undefined) svg.append(separatrix.svg("line", { class: "whisker " + kind, x1: across, x2: across, y1: y(below), y2: y(above) }));
        for (const run of runsOf[at]) if (run[state.part] !== undefined && state.marked.has(at)) svg.append(separatrix.svg("circle", { class: "seed", cx: across, cy: y(run[state.part]), r: 2.5 }));
        svg.append(point(separatrix.svg("circle", { class: "dot " + kind + (state.marked.has(at) ? " on" : ""), cx: across, cy: y(mean), r: state.marked.has(at) ? 7 : 5 }), [at], says(at) + "; " + seeds(at)));
      }
      keys.push(separatrix.element("span", name, { class: kind }));
    });
    const baselines = known.filter(({ line }) => line.baseline).map(({ line }) => ({ line, level: y(figure(line)[0]) }));
    let above = -Infinity;  // where the last name stands; one that would lie on it stands under its own line
    for (const { line, level } of baselines.sort((one, other) => one.level - other.level)) {
      svg.append(separatrix.svg("line", { class: "even", x1: LEFT, x2: LEFT + WIDTH, y1: level, y2: level }));
      above = level - 4 >= above + 11 ? level - 4 : Math.max(level, above) + 11;
      write(svg, LEFT + WIDTH, above, line.label.length > 30 ? line.label.slice(0, 29) + "\u2026" : line.label, "end");
    }
    find("series").replaceChildren(...keys);
    find("curve-plot").replaceChildren(svg);
  };

  // Mean over the settings of a cell, each the mean over its seeds; the best cell is framed.
  const heat = () => {
    const [down, across] = [columns[Number(find("down").value)], columns[Number(find("across").value)]], [i, j] = [columns.indexOf(down), columns.indexOf(across)];
    const wanted = (line) => figure(line) && (shown(line) || down.tuned || across.tuned);
    const cells = down.values.map((one) => across.values.map((other) => lines.map((line, at) => ({ line, at }))
      .filter(({ line }) => !line.baseline && wanted(line) && line.at[i] === one && line.at[j] === other)));
    const mean = (cell) => cell.reduce((sum, { line }) => sum + figure(line)[0], 0) / cell.length, means = cells.flat().filter((cell) => cell.length).map(mean);
    const svg = frame(state.part + " " + data.metric + " by " + down.name + " and " + across.name), low = Math.min(...means), high = Math.max(...means), best = data.metric === "rmse" ? low : high;
    const left = 96, wide = (LEFT + WIDTH - left) / across.values.length, tall = HIGH / down.values.length;
    cells.forEach((line, row) => {
      write(svg, left - 8, 8 + (row + 0.5) * tall + 4, down.values[row].slice(-16), "end");
      line.forEach((cell, column) => {
        if (!cell.length) return;
        const value = mean(cell), share = high > low ? (value - low) / (high - low) : 1, strength = 0.1 + 0.9 * (data.metric === "rmse" ? 1 - share : share), at = cell.map((one) => one.at);
        const group = separatrix.svg("g", { class: "cell" + (at.every((one) => state.marked.has(one)) ? " on" : "") + (value === best ? " best" : "") });
        group.append(separatrix.svg("rect", { class: "shade own", x: left + column * wide + 1, y: 8 + row * tall + 1, width: wide - 2, height: tall - 2, "fill-opacity": strength }),
          separatrix.svg("text", { class: strength > 0.55 ? "count deep" : "count", x: left + (column + 0.5) * wide, y: 8 + (row + 0.5) * tall + 5, "text-anchor": "middle" }, number(value)));
        const text = down.name + "=" + down.values[row] + ", " + across.name + "=" + across.values[column] + ": " + number(value) + ", the mean of " + cell.length + " settings; " + (cell.length === 1 ? seeds(at[0]) : at.map((one) => lines[one].label).join("; "));
        svg.append(point(group, at, text));
      });
    });
    across.values.forEach((value, column) => write(svg, left + (column + 0.5) * wide, HIGH + 24, value.length > 18 ? "\u2026" + value.slice(-17) : value));
    write(svg, left + (LEFT + WIDTH - left) / 2, HIGH + LOW + 6, across.name);
    write(svg, left - 8, HIGH + LOW + 6, down.name, "end");
    find("heat").replaceChildren(svg);
    find("heat-note").textContent = state.part + " " + data.metric + "; framed: the best" + (state.part === "test" ? " of these, which no choice has seen" : "");
  };

  const draw = () => {
    if (several.length) curve();
    if (several.length > 1 && find("down").value !== find("across").value) heat();
    rows.forEach((row) => {
      const at = Number(row.dataset.line);
      row.classList.toggle("on", state.marked.has(at));
      row.hidden = state.only && !lines[at].chosen && !lines[at].baseline && runsOf[at].length > 0;
    });
    section.dataset.part = state.part;
  };
  rows.forEach((row, at) => {
    separatrix.fill(row, "", { "data-line": at, tabindex: "0" });
    row.classList.add("pressed");
    row.addEventListener("click", () => mark([at]));
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") mark([at]); });
  });
  const offer = (name, picked, some) => {
    for (const column of some) find(name).append(separatrix.element("option", column.name, { value: column.at }));
    if (picked) find(name).value = picked.at;
    find(name).addEventListener("change", draw);
    find(name).parentElement.hidden = some.length < 2;
  };
  const settings = several.filter((column) => column.kind === "axis").concat(several.filter((column) => column.kind === "name"));
  offer("axis", settings.find((column) => column.numeric && !column.tuned) || settings[0], settings);
  const pair = [...settings].sort((one, other) => Number(other.kind === "axis") - Number(one.kind === "axis") || other.values.length - one.values.length);
  offer("down", pair[0], pair);
  offer("across", pair[1], pair);
  find("curve-figure").hidden = !several.length;
  find("heat-figure").hidden = several.length < 2;
  for (const input of section.querySelectorAll(".part")) {
    input.parentElement.hidden = !data.parts.includes(input.value);
    input.addEventListener("change", () => { state.part = input.value; draw(); });
  }
  if (find("chosen")) find("chosen").addEventListener("change", (event) => { state.only = event.target.checked; draw(); });
  if (!data.parts.includes(state.part)) [state.part] = data.parts;
  if (state.part) draw();
};
