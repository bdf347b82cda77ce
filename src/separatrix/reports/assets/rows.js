// The list of rows, of which only those in sight are elements: search, order, selection out.
separatrix.LINE = 40;  // pixels of a row
separatrix.LISTED = 500000;  // rows that a browser can scroll over
separatrix.ORDERS = {
  wrong: ["wrong ones first, surest first", (table) => (row) => (table.wrong(row) ? -1 - (table.sure(row) || 0) : table.sure(row) || 0)],
  suspect: ["suspects first", (table) => (row) => -(table.suspected(row) || 0)],
  doubt: ["least sure first", (table) => (row) => (Number.isNaN(table.sure(row)) ? 2 : table.sure(row))],
  label: ["by class", (table) => (row) => (table.label === null ? 0 : table.label[row])],
  given: ["as in the data", () => (row) => row],
};
// Conditions of one press: what they are called, whether the page can say it of any row, which rows meet them
separatrix.ONLY = {
  wrong: ["wrong ones", (table) => table.predicted !== null, (table, row) => table.wrong(row)],
  suspect: ["suspect labels", (table) => table.suspect !== null, (table, row) => !Number.isNaN(table.suspected(row))],
  differ: ["answers differ", (table) => table.differ !== null, (table, row) => table.differ[row] === 1],
  unknown: ["unknown words", (table) => table.unknown !== null, (table, row) => table.unknown[row] > 0],
};

separatrix.draw.rows = async (section) => {
  const table = await separatrix.table(), { selection } = table, find = (name) => section.querySelector("." + name);
  const list = find("list"), body = separatrix.element("div", "", { class: "body" });
  let order = new Uint32Array(0), by = table.predicted === null ? "given" : "wrong", shown = "";

  for (const [value, [title]] of Object.entries(separatrix.ORDERS)) {
    const known = value === "given" || value === "label" || (value === "suspect" ? table.suspect : table.predicted) !== null;
    if (known) find("order").append(separatrix.element("option", title, { value }));
  }
  find("order").value = by;
  table.splits.forEach((split) => find("split").append(separatrix.element("option", split, { value: split })));
  if (table.splits.length < 2) find("split").parentElement.hidden = true;
  const boxes = [...section.querySelectorAll(".only")];
  for (const box of boxes) box.parentElement.hidden = !separatrix.ONLY[box.dataset.only][1](table);
  separatrix.offerAnswers(table, find("answers"));
  (table.clusterings || []).forEach((one, which) => one.names.forEach((name, number) =>
    find("cluster").append(separatrix.element("option", one.title + ": " + name, { value: which + "/" + number }))));
  find("cluster").parentElement.hidden = !table.clusterings || !table.clusterings.length;
  find("cluster").addEventListener("change", (event) => {
    const [which, number] = event.target.value.split("/").map(Number);
    return event.target.value ? table.toggleCluster(which, number, table.clusterings[which].names[number]) : selection.clear("cluster");
  });
  list.classList.toggle("unsure", table.predicted !== null && table.top === null);
  list.replaceChildren(body);
  list.classList.toggle("plain", table.predicted === null);
  list.classList.toggle("whole", table.split === null);

  const arrange = () => {
    const key = separatrix.ORDERS[by][1](table), kept = selection.numbers(), keys = new Float64Array(table.rows);
    for (const row of kept) keys[row] = key(row);
    order = by === "given" ? kept : kept.sort((one, other) => keys[one] - keys[other] || one - other);
    order = order.subarray(0, separatrix.LISTED);
    body.style.height = order.length * separatrix.LINE + "px";
    list.setAttribute("aria-rowcount", order.length);
    section.dataset.listed = order.length;
    find("count").textContent = order.length === table.rows ? table.rows + " rows" : order.length + " of " + table.rows + " rows";
    shown = "";
    return fill();
  };
  const line = (row, at, text) => {
    const item = separatrix.element("div", "", { role: "row", class: table.wrong(row) ? "entry off" : "entry", "aria-rowindex": at + 1, "data-row": row });
    const cell = (content, kind) => item.append(separatrix.element("span", content, { role: "gridcell", class: kind, dir: "auto" }));
    cell(table.splitOf(row), "part");
    cell(table.label === null ? "" : table.names[table.label[row]], "label");
    if (table.predicted !== null) cell(table.answered(row) ? (table.wrong(row) ? "\u2192 " : "") + table.names[table.predicted[row]] : "-", "guess");
    if (table.top !== null) cell(Number.isNaN(table.sure(row)) ? "-" : separatrix.share(table.sure(row)), "number");
    cell(text.slice(0, 400), "text");
    item.id = "row-" + row;
    item.setAttribute("aria-selected", String(row === table.row));
    item.style.transform = "translateY(" + at * separatrix.LINE + "px)";
    return item;
  };
  // Fill what is in sight.
  const fill = async () => {
    const from = Math.max(0, Math.floor(list.scrollTop / separatrix.LINE) - 4), to = Math.min(order.length, from + Math.ceil(list.clientHeight / separatrix.LINE) + 8);
    const key = from + "/" + to + "/" + table.row;
    if (key === shown) return;
    shown = key;
    const rows = [...order.subarray(from, to)], texts = await Promise.all(rows.map((row) => table.text(row)));
    if (shown !== key) return;
    body.replaceChildren(...rows.map((row, k) => line(row, from + k, texts[k])));
    if (rows.includes(table.row)) list.setAttribute("aria-activedescendant", "row-" + table.row);
    else list.removeAttribute("aria-activedescendant");
  };
  const reveal = (row) => {
    const at = order.indexOf(row), top = at * separatrix.LINE;
    if (at >= 0 && (top < list.scrollTop || top > list.scrollTop + list.clientHeight - separatrix.LINE)) list.scrollTop = top - list.clientHeight / 2;
    return fill();
  };

  // Search: all words, or a regular expression. Only the last one that was typed counts.
  let asked = 0;
  const search = async () => {
    const typed = find("search").value, number = (asked += 1), note = find("wrong-pattern");
    note.textContent = "";
    if (!typed.trim()) return selection.clear("search");
    const mask = new Uint8Array(table.rows), going = () => number === asked;
    if (find("regex").checked) {
      try {
        const pattern = new RegExp(typed, "iu");
        await table.columns.each("text", (text, row) => { mask[row] = pattern.test(text) ? 1 : 0; }, going);
      } catch (error) {
        note.textContent = error instanceof SyntaxError ? "This is no regular expression: " + error.message : error.message;
        return undefined;
      }
    } else {
      const words = typed.toLocaleLowerCase().split(/\s+/u).filter((word) => word);
      try {
        await table.columns.having("text", words, mask, going);
      } catch (error) {
        note.textContent = error.message;
        return undefined;
      }
    }
    if (table.signs !== null) note.textContent = "Some texts are cut on this page; the search reads what is here.";
    return number === asked ? selection.set("search", (find("regex").checked ? "matches " : "has ") + typed, mask) : undefined;
  };
  let typing = 0;
  find("search").addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, 200); });
  find("regex").addEventListener("change", search);
  find("order").addEventListener("change", (event) => { by = event.target.value; list.scrollTop = 0; arrange(); });
  find("split").addEventListener("change", (event) => {
    const at = table.splits.indexOf(event.target.value);
    return at < 0 ? selection.clear("split") : selection.set("split", event.target.value + " rows", (row) => table.split[row] === at);
  });
  for (const box of boxes) {
    const name = box.dataset.only, [label, , fits] = separatrix.ONLY[name];
    box.addEventListener("change", () => (box.checked ? selection.set(name, label, (row) => fits(table, row)) : selection.clear(name)));
  }
  selection.subscribe(() => {
    if (!selection.has("search") && find("search").value && asked) { find("search").value = ""; asked += 1; }
    for (const box of boxes) if (!selection.has(box.dataset.only)) box.checked = false;
    if (!selection.has("split")) find("split").value = "";
    find("cluster").value = selection.has("cluster") ? table.cluster : "";
    list.scrollTop = 0;
    arrange();
  });
  table.onChoose(reveal);
  list.addEventListener("scroll", separatrix.once(fill));
  new ResizeObserver(separatrix.once(fill)).observe(list);
  list.addEventListener("click", (event) => {
    const item = event.target.closest("[data-row]");
    if (item) table.choose(Number(item.dataset.row));
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !order.length) return;
    event.preventDefault();
    table.choose(order[Math.min(Math.max(order.indexOf(table.row) + step, 0), order.length - 1)]);
  });
  separatrix.selectionBar(table);
  return arrange();
};

// The bar that says what is selected, takes conditions back, and hands the rows out.
separatrix.selectionBar = (table) => {
  const { selection } = table, bar = separatrix.element("div", "", { class: "selection", role: "region", "aria-label": "Selection", hidden: "" });
  const says = separatrix.element("p", "", { role: "status" }), chips = separatrix.element("div", "", { class: "chips" }), out = separatrix.element("div", "", { class: "out" });
  const button = (title, act) => {
    const made = separatrix.element("button", title, { type: "button" });
    made.addEventListener("click", act);
    return made;
  };
  const copy = button("Copy ids", async () => {
    const ids = await Promise.all([...selection.numbers()].map((row) => table.id(row)));
    await separatrix.copy(ids.join("\n"));
    copy.textContent = ids.length + " copied";
    setTimeout(() => { copy.textContent = "Copy ids"; }, 1600);
  });
  out.append(button("Save as CSV", async () => separatrix.save(await separatrix.csv(table), "selection.csv")), copy, button("Clear", () => selection.clear()));
  bar.append(says, chips, out);
  document.body.append(bar);
  // Escape takes the selection back, wherever nothing is being typed.
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && !event.target.closest?.("input[type=search], input[type=number]")) selection.clear();
  });
  selection.subscribe(() => {
    bar.hidden = !selection.parts.size;
    let right = 0, judged = 0;
    const rows = selection.numbers(), short = separatrix.cutOf(table, rows);
    for (const row of rows) { judged += table.answered(row); right += table.answered(row) && !table.wrong(row); }
    says.textContent = selection.count + " of " + table.rows + " rows selected" + (judged ? ", accuracy " + separatrix.share(right / judged) : "")
      + (short ? "; " + short + (short === 1 ? " text is" : " texts are") + " cut here and in the CSV" : "");
    chips.replaceChildren(...[...selection.parts].map(([name, { label }]) => {
      const chip = button("", () => selection.clear(name));
      chip.append(separatrix.element("span", label.length > 40 ? label.slice(0, 39) + "\u2026" : label, { dir: "auto" }), separatrix.element("b", "\u00d7", { "aria-label": "take back" }));
      return chip;
    }));
    document.body.dataset.selected = selection.count;
  });
};

// How many of some rows have a text that is cut on this page
separatrix.cutOf = (table, rows) => rows.reduce((sum, row) => sum + (table.cut(row) > 0), 0);

// The selected rows as CSV, in the order of the data; where texts are cut, a column says how many signs they have.
separatrix.csv = async (table) => {
  const quote = (value) => (/[",\r\n]/.test(value) ? '"' + value.replaceAll('"', '""') + '"' : value), kept = table.selection.numbers();
  const some = separatrix.cutOf(table, kept) > 0, lines = ["id,split,label,predicted,probability,text" + (some ? ",cut_from_signs" : "")];
  for (const row of kept) {
    const sure = table.sure(row), [id, text] = await Promise.all([table.id(row), table.text(row)]);
    lines.push([id, table.splitOf(row), table.label === null ? "" : table.names[table.label[row]], table.answered(row) ? table.names[table.predicted[row]] : "",
      Number.isNaN(sure) ? "" : sure.toFixed(4), text, ...(some ? [table.cut(row) || ""] : [])].map((value) => quote(String(value))).join(","));
  }
  return lines.join("\r\n") + "\r\n";
};

separatrix.save = (text, name) => {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" })), link = separatrix.element("a", "", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};

separatrix.copy = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch (error) {  // a page from a file may not have the clipboard
    const box = separatrix.element("textarea", "", { readonly: "" });
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  }
};
