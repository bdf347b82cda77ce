// Which rows are selected: every view adds a condition under its own name, and a row counts when it meets all of them.
separatrix.Selection = class {
  constructor(rows) {
    this.rows = rows;
    this.parts = new Map();  // name -> { label, mask }
    this.kept = new Uint8Array(rows).fill(1);  // 1 = meets all conditions
    this.count = rows;
    this.listeners = [];
  }

  // listener is called with the selection after each change
  subscribe(listener) { this.listeners.push(listener); }

  // test: (row) -> whether it meets the condition, or a mask (rows,) of 0 and 1; label: the condition in words
  set(name, label, test) {
    const mask = typeof test === "function" ? Uint8Array.from({ length: this.rows }, (_, row) => (test(row) ? 1 : 0)) : test;
    this.parts.set(name, { label, mask, test });
    this.update();
  }

  // Ask every condition once more: what it asks of the rows has changed.
  renew() {
    for (const part of this.parts.values()) if (typeof part.test === "function") for (let row = 0; row < this.rows; row += 1) part.mask[row] = part.test(row) ? 1 : 0;
    this.update();
  }

  // Take one condition away, or all.
  clear(name) {
    if (name === undefined) this.parts.clear();
    else if (!this.parts.delete(name)) return;
    this.update();
  }

  has(name) { return this.parts.has(name); }

  update() {
    this.kept.fill(1);
    for (const { mask } of this.parts.values()) for (let row = 0; row < this.rows; row += 1) this.kept[row] &= mask[row];
    this.count = this.kept.reduce((sum, bit) => sum + bit, 0);
    for (const listener of this.listeners) listener(this);
  }

  // numbers of the selected rows, in order
  numbers() {
    const rows = new Uint32Array(this.count);
    for (let row = 0, at = 0; row < this.rows; row += 1) if (this.kept[row]) rows[at++] = row;
    return rows;
  }
};
