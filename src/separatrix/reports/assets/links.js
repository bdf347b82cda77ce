// Confusion matrix, its list of pairs and tables: made by Python, linked here.
separatrix.draw.confusion = async (section, data) => {
  const table = await separatrix.table();
  if (!table || table.predicted === null) return;
  const cells = [...section.querySelectorAll("[data-gold]")];
  const k = (at) => (data.names ? table.names.indexOf(data.names[at]) : Number(at));  // of several runs, each has its own classes
  const press = (cell) => table.toggleCell(k(cell.dataset.gold), k(cell.dataset.guess), data.split);
  const mark = () => cells.forEach((cell) => cell.classList.toggle("on", table.selection.has("cell") && table.cell === [k(cell.dataset.gold), k(cell.dataset.guess), data.split].join()));
  section.addEventListener("click", (event) => {
    const cell = event.target.closest("[data-gold]");
    if (cell) press(cell);
  });
  // Arrow keys go from cell to cell that has a number; one of them is in the order of the Tab key.
  const inMatrix = cells.filter((cell) => cell.closest("svg"));
  if (inMatrix.length) inMatrix[0].setAttribute("tabindex", "0");
  section.addEventListener("keydown", (event) => {
    const at = inMatrix.indexOf(event.target), step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(inMatrix[at]); }
    if (!step || !inMatrix[at + step]) return;
    event.preventDefault();
    inMatrix[at].setAttribute("tabindex", "-1");
    inMatrix[at + step].setAttribute("tabindex", "0");
    inMatrix[at + step].focus();
  });
  table.selection.subscribe(mark);
};

separatrix.draw.classes = async (section, data) => {
  separatrix.sortable(section.querySelector("table"));
  const table = await separatrix.table();
  if (!table) return;
  const lines = [...section.querySelectorAll("tbody tr")].map((line, place) => {
    const head = line.querySelector("th"), k = table.names.indexOf(data.names[place]), button = separatrix.element("button", "", { type: "button", class: "pick", "aria-pressed": "false" });
    button.append(separatrix.mark(table.looks[k]), separatrix.element("span", head.textContent, { dir: "auto" }));
    head.replaceChildren(button);
    button.addEventListener("click", () => table.toggleClass(k));
    return { line, button, k };
  });
  table.selection.subscribe(() => lines.forEach(({ line, button, k }) => {
    line.classList.toggle("on", table.classOn(k));
    button.setAttribute("aria-pressed", String(table.classOn(k)));
  }));
};

// Sizes of clusters: how many rows of each are selected, and a press that selects it.
separatrix.draw.clusters = async (section) => {
  const table = await separatrix.table();
  if (!table) return;
  const lines = [...section.querySelectorAll("[data-number]")].map((line) => {
    const head = line.querySelector("th"), [which, number] = [Number(line.dataset.which), Number(line.dataset.number)];
    const button = separatrix.element("button", head.textContent, { type: "button", class: "pick", "aria-pressed": "false" });
    head.replaceChildren(button);
    button.addEventListener("click", () => table.toggleCluster(which, number, button.textContent));
    const bar = line.querySelector(".score"), rows = Number(line.cells[1].textContent);
    return { line, button, which, number, bar, unit: Number(bar.getAttribute("width")) / rows, kept: line.querySelector(".kept") };
  });
  const show = () => {
    const counts = table.clusters.map((numbers) => {
      const own = new Uint32Array(1 + numbers.reduce((most, one) => Math.max(most, one), 0));
      for (let row = 0; row < table.rows; row += 1) own[numbers[row]] += table.selection.kept[row];
      return own;
    });
    for (const { line, button, which, number, bar, unit, kept } of lines) {
      kept.textContent = counts[which][number];
      bar.setAttribute("width", counts[which][number] * unit);
      line.classList.toggle("on", table.clusterOn(which, number));
      button.setAttribute("aria-pressed", String(table.clusterOn(which, number)));
    }
  };
  table.selection.subscribe(show);
  show();
};

// The same views of several runs: those of the run whose answers the page shows.
separatrix.draw.by_run = async (section, data) => {
  const table = await separatrix.table(), parts = [...section.querySelectorAll(".of-run")];
  if (!table) return;
  separatrix.offerAnswers(table, section.querySelector(".answers"));
  await Promise.all(parts.map((part, at) => data.draw && separatrix.draw[data.draw](part, data.parts[at])));
  const show = () => {
    parts.forEach((part) => { part.hidden = Number(part.dataset.run) !== table.by; });
    section.querySelector(".none").hidden = parts.some((part) => !part.hidden);
    section.dataset.run = table.by;
  };
  table.selection.subscribe(show);
  show();
};

// A table with texts: headings that sort, and a box that leaves the lines with all its words. Where its lines are rows of
// the page (data.rows, their numbers), a press chooses the row, and lines of rows that are not selected step back.
separatrix.draw.table = async (section, data) => {
  const table = section.querySelector("table"), box = section.querySelector(".search"), lines = [...table.tBodies[0].rows];
  const rows = data.rows ? await separatrix.table() : null;
  let words = [];
  separatrix.sortable(table);
  const show = () => {
    let left = 0;
    lines.forEach((line, at) => {
      const text = line.textContent.toLocaleLowerCase();
      line.hidden = !words.every((word) => text.includes(word)) || (rows !== null && !rows.selection.kept[data.rows[at]]);
      left += !line.hidden;
    });
    section.querySelector(".count").textContent = left < lines.length ? left + " of " + lines.length + " rows" : "";
    section.dataset.shown = left;
  };
  box.addEventListener("input", () => {
    words = box.value.toLocaleLowerCase().split(/\s+/u).filter((word) => word);
    show();
  });
  if (rows === null) return;
  lines.forEach((line, at) => {
    line.tabIndex = 0;
    line.classList.add("pressed");
    const press = () => rows.choose(data.rows[at]);
    line.addEventListener("click", press);
    line.addEventListener("keydown", (event) => { if (event.key === "Enter") press(); });
  });
  rows.onChoose((row) => lines.forEach((line, at) => line.classList.toggle("on", data.rows[at] === row)));
  rows.selection.subscribe(show);
};

// Headings that sort: names from A, numbers from the largest, and the other way when pressed again; "-" stands last.
separatrix.sortable = (table) => {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = separatrix.element("button", head.textContent, { type: "button", class: "sort" });
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const numeric = head.classList.contains("number"), before = head.getAttribute("aria-sort"), down = before ? before === "ascending" : numeric;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (line) => line.cells[column].textContent.trim(), sign = down ? -1 : 1;
      const lines = [...body.rows].sort((one, other) => {
        const [a, b] = [value(one), value(other)], [x, y] = [a, b].map((text) => (text.startsWith("< ") ? 0 : parseFloat(text)));
        if (a === "-" || b === "-") return (a === "-") - (b === "-");
        return sign * (numeric ? x - y : a.localeCompare(b));
      });
      body.append(...lines);
    });
  });
};

// A table that only sorts
separatrix.draw.sorted = async (section) => separatrix.sortable(section.querySelector("table"));
