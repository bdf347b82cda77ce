// The rows of the page that all views share: their columns, which are selected, which one is chosen.
separatrix.Table = class {
  // data: { rows, names, looks, splits, answers, first, columns } of the section "rows"
  constructor(data) {
    Object.assign(this, data, { columns: new separatrix.Columns(data.columns), selection: new separatrix.Selection(data.rows), row: -1, choosing: [] });
  }

  // The small columns; label, predicted (class numbers), split, top (probability of the predicted class in steps),
  // suspect (that the label is wrong, in steps), unknown (tokens)
  async load() {
    for (const name of ["label", "predicted", "split", "top", "suspect", "unknown", "signs", "differ"]) this[name] = await this.columns.numbers(name);
    this.clusters = await Promise.all((this.clusterings || []).map((_, number) => this.columns.numbers("cluster-" + number)));
    this.end = "";
    if (this.answers && this.answers.length) await this.answerBy(this.first);
    return this;
  }

  // Of several runs, the one whose answers all views show.
  async answerBy(number) {
    if (this.by === number) return;
    this.by = number;
    this.end = "-" + number;
    [this.predicted, this.top] = await Promise.all(["predicted", "top"].map((name) => this.columns.numbers(name + this.end)));
    this.split = await this.columns.numbers(this.columns.has("split" + this.end) ? "split" + this.end : "split");
    this.selection.renew();
  }

  answered(row) { return this.predicted !== null && this.predicted[row] !== 65535; }

  wrong(row) { return this.answered(row) && this.label !== null && this.label[row] !== this.predicted[row]; }

  // 0 .. 1, or NaN where the row has no probability
  sure(row) { return this.top === null || this.top[row] === 65535 ? NaN : this.top[row] / 65534; }

  // Probability that the label is wrong, or NaN where there is no reason to doubt it
  suspected(row) { return this.suspect === null || this.suspect[row] === 65535 ? NaN : this.suspect[row] / 65534; }

  splitOf(row) { return this.split === null ? "" : this.splits[this.split[row]]; }

  text(row) { return this.columns.text("text", row); }

  // Signs of a text that is cut on the page, or 0
  cut(row) { return this.signs === null ? 0 : this.signs[row]; }

  // Promise of { rows, distances, metric }: the rows of nearest vectors, of a server that has them; else null
  async neighbors(row, k) { return this.vectors ? (await separatrix.ask("neighbors", { row, k })).json() : null; }

  id(row) { return this.columns.text("id", row); }

  // "label cat, predicted dog"
  facts(row) {
    const label = this.label === null ? "" : this.names[this.label[row]];
    if (!this.answered(row)) return label;
    return this.wrong(row) ? label + ", predicted " + this.names[this.predicted[row]] : label + ", predicted so";
  }

  // listener(row) is called when a row is chosen in any view
  onChoose(listener) { this.choosing.push(listener); }

  choose(row) {
    this.row = row;
    for (const listener of this.choosing) listener(row);
  }

  // Select rows of one class, of several, or of a cell of the confusion matrix (once more: take it back).
  toggleCell(gold, guess, split) {
    const key = [gold, guess, split].join();
    if (this.cell === key && this.selection.has("cell")) { this.cell = ""; return this.selection.clear("cell"); }
    this.cell = key;
    const at = this.splits.indexOf(split);
    return this.selection.set("cell", this.names[gold] + " taken for " + this.names[guess],
      (row) => this.label[row] === gold && this.predicted[row] === guess && (at < 0 || this.split[row] === at));
  }

  toggleClass(k) {
    this.classes = this.selection.has("class") ? this.classes : new Set();
    if (!this.classes.delete(k)) this.classes.add(k);
    if (!this.classes.size) return this.selection.clear("class");
    const names = [...this.classes].map((one) => this.names[one]);
    return this.selection.set("class", "class " + names.slice(0, 3).join(", ") + (names.length > 3 ? ", and " + (names.length - 3) + " more" : ""),
      (row) => this.classes.has(this.label[row]));
  }

  // Select the rows of a cluster (once more: take it back); which clustering, number of the cluster, its name
  toggleCluster(which, number, name) {
    if (this.clusterOn(which, number)) return this.selection.clear("cluster");
    this.cluster = which + "/" + number;
    return this.selection.set("cluster", this.clusterings[which].title + ": " + name, (row) => this.clusters[which][row] === number);
  }

  clusterOn(which, number) { return this.selection.has("cluster") && this.cluster === which + "/" + number; }

  classOn(k) { return this.selection.has("class") && this.classes.has(k); }
};

// A choice of the run whose answers the page shows; hidden where there is one run at most.
separatrix.offerAnswers = (table, select) => {
  (table.answers || []).forEach((title, number) => select.append(separatrix.element("option", title, { value: number })));
  select.parentElement.hidden = !table.answers || table.answers.length < 2;
  select.addEventListener("change", () => table.answerBy(Number(select.value)));
  const follow = () => { if (table.by !== undefined) select.value = table.by; };
  table.selection.subscribe(follow);
  follow();
};

// Promise of the table of this page; null where it has no rows
separatrix.table = () => {
  const section = document.querySelector('[data-draw="rows"]');
  if (!section) return Promise.resolve(null);
  separatrix.rowTable = separatrix.rowTable || new separatrix.Table(separatrix.dataOf(section)).load();
  return separatrix.rowTable;
};
separatrix.dataOf = (section) => JSON.parse(section.querySelector('script[type="application/json"]').textContent);
