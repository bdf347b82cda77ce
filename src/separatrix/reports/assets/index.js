// Rows by the cell of a grid that they lie in: what is near a place, what is in a box.
separatrix.GridIndex = class {
  // places: Float32Array (rows x 2); shown: (row) -> whether it counts
  constructor(places, shown) {
    this.places = places;
    const rows = places.length / 2, inside = [];
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    for (let row = 0; row < rows; row += 1) {
      if (!shown(row)) continue;
      inside.push(row);
      left = Math.min(left, places[2 * row]); right = Math.max(right, places[2 * row]);
      low = Math.min(low, places[2 * row + 1]); high = Math.max(high, places[2 * row + 1]);
    }
    this.side = Math.max(1, Math.min(1024, Math.ceil(Math.sqrt(inside.length / 2))));
    this.left = left; this.low = low;
    this.cell = Math.max(right - left, high - low, 1e-9) / this.side * 1.000001;
    const starts = new Uint32Array(this.side * this.side + 1), of = (row) => this.across(places[2 * row], this.left) + this.side * this.across(places[2 * row + 1], this.low);
    for (const row of inside) starts[of(row) + 1] += 1;
    for (let cell = 1; cell < starts.length; cell += 1) starts[cell] += starts[cell - 1];
    const next = starts.slice(), rowsOf = new Uint32Array(inside.length);
    for (const row of inside) rowsOf[next[of(row)]++] = row;
    Object.assign(this, { starts, rowsOf });
  }

  across(value, start) { return Math.min(Math.max(Math.floor((value - start) / this.cell), 0), this.side - 1); }

  // Calls visit(row) for each row of the cells that touch a box.
  visit(left, low, right, high, visit) {
    for (let down = this.across(low, this.low); down <= this.across(high, this.low); down += 1) {
      for (let at = this.across(left, this.left); at <= this.across(right, this.left); at += 1) {
        const cell = at + this.side * down;
        for (let k = this.starts[cell]; k < this.starts[cell + 1]; k += 1) visit(this.rowsOf[k]);
      }
    }
  }

  // The `count` rows nearest to a place within a radius, nearest first
  nearest(x, y, radius, count = 1) {
    const near = [];
    this.visit(x - radius, y - radius, x + radius, y + radius, (row) => {
      const away = Math.hypot(this.places[2 * row] - x, this.places[2 * row + 1] - y);
      if (away > radius || (near.length === count && away >= near[count - 1].away)) return;
      near.push({ row, away });
      near.sort((one, other) => one.away - other.away || one.row - other.row);
      near.length = Math.min(near.length, count);
    });
    return near.map(({ row }) => row);
  }

  // Mask (rows,) of what lies within a polygon [[x, y], ...]
  within(polygon) {
    const mask = new Uint8Array(this.places.length / 2), xs = polygon.map(([x]) => x), ys = polygon.map(([, y]) => y);
    this.visit(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (row) => {
      mask[row] = separatrix.inside(polygon, this.places[2 * row], this.places[2 * row + 1]) ? 1 : 0;
    });
    return mask;
  }
};

// Whether a place lies within a polygon: a ray from it crosses an odd number of sides.
separatrix.inside = (polygon, x, y) => {
  let odd = false;
  for (let at = 0, before = polygon.length - 1; at < polygon.length; before = at, at += 1) {
    const [x1, y1] = polygon[at], [x2, y2] = polygon[before];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) odd = !odd;
  }
  return odd;
};
