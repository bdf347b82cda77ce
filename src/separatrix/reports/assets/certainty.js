// How sure, and how right: probabilities of the answers in bars, and how often answers of a probability are right.
separatrix.draw.certainty = async (section) => {
  const table = await separatrix.table(), { selection } = table, find = (name) => section.querySelector("." + name);
  const WIDTH = 460, HIGH = 200, LEFT = 40, LOW = 26, BARS = 20, BINS = 10;
  const frame = (title) => separatrix.svg("svg", { viewBox: "0 0 " + (LEFT + WIDTH + 12) + " " + (HIGH + LOW + 12), role: "img", "aria-label": title });
  const x = (share) => LEFT + share * WIDTH, y = (share) => 8 + (1 - share) * HIGH;
  const axes = (chart, most) => {
    for (const tick of separatrix.ticks(0, most).filter((one) => most === 1 || Number.isInteger(one))) {
      chart.append(separatrix.svg("line", { class: "grid", x1: x(0), x2: x(1), y1: y(tick / most), y2: y(tick / most) }),
        separatrix.svg("text", { class: "tick", x: LEFT - 6, y: y(tick / most) + 4, "text-anchor": "end" }, String(tick)));
    }
    for (const share of separatrix.ticks(0, 1)) chart.append(separatrix.svg("text", { class: "tick", x: x(share), y: HIGH + LOW, "text-anchor": "middle" }, String(share)));
  };
  const bin = (row, bins) => Math.min(Math.floor(table.sure(row) * bins), bins - 1);
  const known = () => [...selection.numbers()].filter((row) => !Number.isNaN(table.sure(row)));

  const histogram = (rows) => {
    const right = new Uint32Array(BARS), wrong = new Uint32Array(BARS);
    for (const row of rows) (table.wrong(row) ? wrong : right)[bin(row, BARS)] += 1;
    const most = Math.max(1, ...right.map((count, at) => count + wrong[at])), chart = frame("Probabilities of " + rows.length + " answers: " +
      rows.filter((row) => table.sure(row) >= 0.9).length + " are 0.9 or more");
    axes(chart, most);
    right.forEach((count, at) => {
      const title = (at / BARS).toFixed(2) + " to " + ((at + 1) / BARS).toFixed(2) + ": " + count + " right, " + wrong[at] + " wrong";
      const bar = (kind, low, high) => {
        if (high === low) return;
        const rect = separatrix.svg("rect", { class: kind, x: x(at / BARS) + 1, width: WIDTH / BARS - 2, y: y(high / most), height: y(low / most) - y(high / most) });
        rect.append(separatrix.svg("title", {}, title));
        chart.append(rect);
      };
      bar("right", 0, count);
      bar("wrong", count, count + wrong[at]);
    });
    return chart;
  };
  // Of rows of similar probability, the share that is right. Where the page brings a curve with intervals, the rows that
  // are selected stand on it as circles.
  const still = find("reliability").querySelector("svg"), live = separatrix.svg("g", { class: "live" });
  if (still) still.append(live);
  const reliability = (rows) => {
    const counts = new Float64Array(BINS), right = new Float64Array(BINS), sums = new Float64Array(BINS);
    for (const row of rows) { counts[bin(row, BINS)] += 1; right[bin(row, BINS)] += !table.wrong(row); sums[bin(row, BINS)] += table.sure(row); }
    const gap = rows.length ? counts.reduce((sum, count, at) => sum + (count ? Math.abs(right[at] - sums[at]) : 0), 0) / rows.length : NaN;
    const at = [...counts.keys()].filter((k) => counts[k]), [across, down] = still ? [(share) => 40 + 210 * share, (share) => 220 - 210 * share] : [x, y];
    const dots = at.map((k) => {
      const dot = separatrix.svg("circle", { class: still ? "ring" : "dot", cx: across(sums[k] / counts[k]), cy: down(right[k] / counts[k]), r: 3 + 7 * Math.sqrt(counts[k] / rows.length) });
      dot.append(separatrix.svg("title", {}, counts[k] + " answers of probability " + (sums[k] / counts[k]).toFixed(2) + ": " + (right[k] / counts[k]).toFixed(2) + " are right"));
      return dot;
    });
    find("gap").textContent = rows.length ? (still ? "rows selected: " : "") + "expected calibration error " + gap.toFixed(3) + ", " + rows.length + " rows" : "no rows";
    if (still) {
      const all = selection.count === table.rows;
      if (all) find("gap").textContent = "";
      return live.replaceChildren(...(all ? [] : dots));
    }
    const chart = frame("How often answers of a probability are right; expected calibration error " + gap.toFixed(3));
    axes(chart, 1);
    chart.append(separatrix.svg("line", { class: "even", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }),
      separatrix.svg("polyline", { class: "curve", points: at.map((k) => x(sums[k] / counts[k]) + "," + y(right[k] / counts[k])).join(" ") }), ...dots);
    return find("reliability").replaceChildren(chart);
  };

  const draw = () => {
    const rows = known();
    find("histogram").replaceChildren(histogram(rows));
    reliability(rows);
    section.dataset.rows = rows.length;
  };
  // Drag over the bars selects a range of probabilities; so do the two numbers below.
  const choose = (one, other) => {
    const [low, high] = [Math.max(0, Math.min(one, other)), Math.min(1, Math.max(one, other))];
    find("from").value = low.toFixed(2);
    find("to").value = high.toFixed(2);
    if (low <= 0 && high >= 1) return selection.clear("probability");
    return selection.set("probability", "probability " + low.toFixed(2) + " to " + high.toFixed(2), (row) => table.sure(row) >= low - 1e-9 && table.sure(row) <= high + 1e-9);
  };
  const box = find("histogram");
  const shareAt = (event) => {
    const rect = box.firstChild.getBoundingClientRect();
    return ((event.clientX - rect.left) / rect.width * (LEFT + WIDTH + 12) - LEFT) / WIDTH;
  };
  let begun = null, veil = null;
  box.addEventListener("pointerdown", (event) => {
    begun = shareAt(event);
    box.setPointerCapture(event.pointerId);
    veil = separatrix.svg("rect", { class: "veil", y: 8, height: HIGH });
    box.firstChild.append(veil);
  });
  box.addEventListener("pointermove", (event) => {
    if (begun === null) return;
    const now = shareAt(event);
    separatrix.fill(veil, "", { x: x(Math.max(0, Math.min(begun, now))), width: Math.abs(now - begun) * WIDTH });
  });
  box.addEventListener("pointerup", (event) => {
    const now = shareAt(event), from = begun;
    begun = null;
    if (Math.abs(now - from) > 0.01) choose(from, now);
    else { const at = Math.floor(from * BARS); choose(at / BARS, (at + 1) / BARS); }
  });
  for (const name of ["from", "to"]) find(name).addEventListener("change", () => choose(Number(find("from").value), Number(find("to").value)));
  selection.subscribe(() => {
    if (!selection.has("probability")) { find("from").value = "0.00"; find("to").value = "1.00"; }
    draw();
  });
  draw();
};
