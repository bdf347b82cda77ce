// Names of classes on a map, each at the middle of its rows, none over another; the largest classes first.
separatrix.MIDDLE_ROWS = 2000;  // rows of a class that its middle is taken from

// World places of the classes' middles: [{ kind, x, y, rows }], largest first
separatrix.middles = (places, kinds, shown, classes) => {
  const rowsOf = Array.from({ length: classes }, () => []), counts = new Uint32Array(classes);
  for (let row = 0; row < kinds.length; row += 1) {
    if (!shown(row)) continue;
    const own = rowsOf[kinds[row]], count = counts[kinds[row]]++;
    if (own.length < separatrix.MIDDLE_ROWS) own.push(row);
    else if (count % 7 === 0) own[(count * 7919) % separatrix.MIDDLE_ROWS] = row;
  }
  const median = (rows, axis) => Float32Array.from(rows, (row) => places[2 * row + axis]).sort()[rows.length >> 1];
  return rowsOf.map((rows, kind) => (rows.length ? { kind, x: median(rows, 0), y: median(rows, 1), rows: counts[kind] } : null))
    .filter((middle) => middle).sort((one, other) => other.rows - one.rows || one.kind - other.kind);
};

// Draw names where there is room; returns how many stand there.
separatrix.drawLabels = (pen, camera, middles, names, theme) => {
  const taken = [];
  pen.font = "600 12px " + theme.font;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = theme.surface;
  pen.fillStyle = theme.ink;
  for (const { kind, x, y } of middles) {
    const name = names[kind].length > 26 ? names[kind].slice(0, 25) + "\u2026" : names[kind], half = pen.measureText(name).width / 2 + 3;
    const [across, down] = camera.toPixel(x, y);
    if (across < half || across > camera.width - half || down < 9 || down > camera.height - 9) continue;
    const box = [across - half, down - 9, across + half, down + 9];
    if (taken.some(([left, top, right, low]) => box[0] < right && box[2] > left && box[1] < low && box[3] > top)) continue;
    taken.push(box);
    pen.strokeText(name, across, down);
    pen.fillText(name, across, down);
  }
  return taken.length;
};
