// A map of rows: canvas of points, canvas of what lies above them (names, centroids, lasso, the chosen row), box of the hover.
separatrix.GLIDE = 260;  // milliseconds from one set of places to the next
separatrix.SMOOTH = 45;  // milliseconds that a frame may take while the map moves; else it shows every n-th row until it rests,
separatrix.LEAST = 20000;  // but so many rows at least
separatrix.CLOSE = 1.8;  // zoom from which on classes, not their groups, are named

separatrix.Scatter = class {
  // options: names and looks of the classes, rows, describe(row) -> Promise of [title, text], and what is called:
  // chosen(row), selected(mask)
  constructor(plane, options) {
    Object.assign(this, { plane, options, camera: new separatrix.Camera(), mode: "move", middles: null, index: null, row: -1, near: -1,
      lines: [], marks: null, outline: null, dots: true, labels: true, dense: false, step: 1, moment: 1, from: null, to: null });
    this.points = separatrix.element("canvas", "", { class: "points", "aria-hidden": "true" });
    this.over = separatrix.element("canvas", "", { class: "over", "aria-hidden": "true" });
    this.tip = separatrix.element("div", "", { class: "tip", hidden: "" });
    plane.append(this.points, this.over, this.tip);
    this.painter = this.start();
    this.painter.palette(options.looks);
    this.kinds = new Uint16Array(options.rows);
    this.states = new Uint8Array(options.rows).fill(2);
    this.dirty = separatrix.once(() => this.draw());
    this.theme = separatrix.theme();
    separatrix.onTheme(() => { this.theme = separatrix.theme(); this.draw(); });
    new ResizeObserver(() => this.resize()).observe(plane);
    separatrix.gestures(plane, this.camera, {
      mode: () => this.mode, hover: (at) => this.hover(at), press: (at) => this.press(at),
      outline: (track) => { this.outline = track; this.overlay(); },
      moved: (turned) => { if (turned) this.forget(); this.moving = true; this.leave(); this.dirty(); },
      rested: () => { clearTimeout(this.timer); this.timer = setTimeout(() => { this.moving = false; this.dirty(); }, 120); },
      select: (polygon) => this.options.selected(this.nearby().within(polygon)), reset: () => this.reset() });
    this.resize();
  }

  // The painter that is fastest here: measured, WebGL on a graphics card, and the processor where there is none.
  // ?draw=webgl2 or ?draw=flat behind the address takes the other one.
  start() {
    const wish = new URLSearchParams(location.search).get("draw");
    try {
      const painter = wish === "flat" ? null : new separatrix.GlPainter(this.points, () => this.dirty());
      if (painter && (wish === "webgl2" || !painter.software())) return painter;
    } catch (error) {
      if (error.message !== "no WebGL2") console.warn(error);
    }
    const fresh = separatrix.element("canvas", "", { class: "points", "aria-hidden": "true" });
    this.points.replaceWith(fresh);
    this.points = fresh;
    this.plane.after(separatrix.element("p", "No graphics card is in use here: the processor draws the map.", { class: "quiet flat" }));
    return new separatrix.FlatPainter(this.points);
  }

  // Places of all rows; map: positions u16 (rows x dims), dims, spans of the axes. They glide there unless told otherwise.
  show(map, glide = true) {
    const spans = map.spans.map((span) => span / Math.max(...map.spans)), next = { ...map, spans: [...spans, 0].slice(0, 3) };
    const known = this.to !== null;
    this.from = known ? this.to : next;
    this.to = next;
    this.painter.upload("from", this.from.positions);
    this.painter.upload("to", next.positions);
    this.camera.spans = next.spans;
    if (map.dims === 2 && this.camera.yaw + this.camera.pitch !== 0) this.camera.reset();
    this.forget();
    cancelAnimationFrame(this.gliding);
    this.moment = 1;
    if (glide && known && !separatrix.calm()) this.glide();
    this.dirty();
  }

  glide() {
    const begun = performance.now();
    const move = (now) => {
      this.moment = Math.min(Math.max((now - begun) / separatrix.GLIDE, 0), 1);
      this.draw();
      if (this.moment < 1) this.gliding = requestAnimationFrame(move);
    };
    this.moment = 0;
    this.gliding = requestAnimationFrame(move);
  }

  // Classes that the rows are coloured by, and states: see the painter
  paint(kinds, states) {
    if (kinds) { this.kinds = kinds; this.painter.upload("kind", kinds); }
    if (states) { this.states = states; this.painter.upload("state", states); }
    this.layers = this.states.some((state) => (state & 3) === 1) ? [1, 2] : [2];
    this.forget();
    this.dirty();
  }

  // What was computed of places that have changed
  forget() { this.middles = this.index = this.flat = null; }

  places() { return (this.flat = this.flat || this.camera.places(this.to.positions, this.to.dims)); }

  nearby() { return (this.index = this.index || new separatrix.GridIndex(this.places(), (row) => (this.states[row] & 3) > 0)); }

  place(row) { return this.camera.toPixel(this.places()[2 * row], this.places()[2 * row + 1]); }

  size() {
    const shown = this.options.rows, base = shown > 300000 ? 1.8 : shown > 50000 ? 2.6 : shown > 5000 ? 4 : shown > 400 ? 7 : 9;
    return Math.min(base * Math.max(1, Math.min(this.camera.zoom ** 0.35, 3)), 16) - (this.camera.width < 500 && base > 5 ? 1.5 : 0);
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2), width = this.plane.clientWidth || 1, height = this.plane.clientHeight || 1;
    for (const canvas of [this.points, this.over]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    Object.assign(this.camera, { width, height });
    if (this.to) this.draw();
  }

  draw() {
    if (!this.to) return;
    const { camera, from, to } = this, begun = performance.now(), step = this.moving ? this.step : 1;
    const opacity = this.options.rows > 100000 ? 0.55 : this.options.rows > 5000 ? 0.7 : 0.85;
    const view = { camera, fromDims: from.dims, toDims: to.dims, fromSpans: from.spans, toSpans: to.spans, moment: this.moment, step,
      ink: separatrix.rgb(this.theme.ink), ground: separatrix.rgb(this.theme.surface), context: separatrix.rgb(this.theme.muted), layers: this.layers || [2] };
    // Density: large faint marks that add up; the points stand on it, smaller.
    if (this.dense) this.painter.draw({ ...view, size: this.size() * 2, opacity: 0.12 });
    if (this.dots || !this.dense) this.painter.draw({ ...view, size: this.size() * (this.dense ? 0.6 : 1), opacity, over: this.dense, layers: this.dots ? view.layers : [] });
    if (this.moving) this.painter.wait();
    const took = performance.now() - begun;
    this.slow = this.moving && (this.slow || took > separatrix.SMOOTH / 2);
    const most = Math.min(Math.max(Math.ceil(this.options.rows / separatrix.LEAST), 1), 32);
    if (this.moving) this.step = Math.min(Math.max(took > separatrix.SMOOTH ? step * 2 : took < separatrix.SMOOTH / 5 ? Math.floor(step / 2) : step, 1), most);
    this.frames = (this.frames || 0) + 1;
    if (!this.slow || !this.bare) this.overlay();
    this.bare = this.slow && this.row < 0 && !this.marks;  // nothing lies above the points until the map rests
  }

  overlay() {
    const pen = this.over.getContext("2d", { willReadFrequently: true }), ratio = this.over.width / this.camera.width, { theme, camera } = this;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, camera.width, camera.height);
    const ring = (row, radius, width) => {
      pen.beginPath();
      pen.arc(...this.place(row), radius, 0, 2 * Math.PI);
      pen.lineWidth = width;
      pen.stroke();
    };
    if (this.moment === 1) {
      if (this.marks) this.drawMarks(pen);
      if (this.labels && !(this.moving && this.slow)) {
        // Many classes carry the names of their groups until one looks closer.
        const { names, group, groups } = this.options, far = Boolean(group) && camera.zoom < separatrix.CLOSE && this.kinds.every((kind) => kind < group.length);
        if (far !== this.far) { this.far = far; this.middles = null; }
        const kinds = far ? this.kinds.map((kind) => group[kind]) : this.kinds, titles = far ? groups : names;
        this.middles = this.middles || separatrix.middles(this.places(), kinds, (row) => (this.states[row] & 3) === 2, titles.length);
        this.shownLabels = separatrix.drawLabels(pen, camera, this.middles, titles, theme);
      }
      pen.strokeStyle = theme.accent;
      pen.globalAlpha = 0.6;
      pen.lineWidth = 1.2;
      for (const row of this.lines) {
        pen.beginPath();
        pen.moveTo(...this.place(this.row));
        pen.lineTo(...this.place(row));
        pen.stroke();
      }
      pen.globalAlpha = 1;
      if (this.row >= 0) ring(this.row, this.size() / 2 + 6, 3);
      pen.strokeStyle = theme.ink;
      if (this.near >= 0) ring(this.near, this.size() / 2 + 3, 1.5);
    }
    if (!this.outline) return;
    pen.beginPath();
    this.outline.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.strokeStyle = theme.accent;
    pen.lineWidth = 1.5;
    pen.stroke();
    pen.globalAlpha = 0.12;
    pen.fillStyle = theme.accent;
    pen.fill();
    pen.globalAlpha = 1;
  }

  // marks: u16 positions (classes x 2) in the box of the map, drawn large: the centroids
  drawMarks(pen) {
    const [across, up] = this.to.spans, side = this.options.names.length > 20 ? 12 : 17;
    pen.lineWidth = (1.6 * 12) / side;
    pen.strokeStyle = this.theme.ink;
    this.options.looks.slice(0, this.marks.length / 2).forEach(([colour, shape], k) => {
      const x = (this.marks[2 * k] / 65535 - 0.5) * across, y = (this.marks[2 * k + 1] / 65535 - 0.5) * up, [left, top] = this.camera.toPixel(x, y);
      pen.save();
      pen.translate(left - side / 2, top - side / 2);
      pen.scale(side / 12, side / 12);
      pen.fillStyle = colour;
      const path = new Path2D(separatrix.SHAPES[shape]);
      pen.fill(path);
      pen.stroke(path);
      pen.restore();
    });
  }

  pick(at) {
    const [x, y] = this.camera.toWorld(...at), radius = Math.max(this.size(), 12) / this.camera.scale;
    return this.nearby().nearest(x, y, radius)[0] ?? -1;
  }

  async hover(at) {
    const row = at && this.moment === 1 && this.to ? this.pick(at) : -1;
    if (row === this.near) return;
    this.near = row;
    this.overlay();
    if (row < 0) { this.tip.hidden = true; return; }
    const [title, text] = await this.options.describe(row);
    if (this.near !== row) return;
    this.tip.replaceChildren(separatrix.element("b", title, { dir: "auto" }), separatrix.element("span", text, { dir: "auto" }));
    this.tip.hidden = false;
    const [x, y] = this.place(row), wide = this.tip.offsetWidth, high = this.tip.offsetHeight;
    this.tip.style.left = Math.min(Math.max(x - wide / 2, 4), Math.max(this.camera.width - wide - 4, 4)) + "px";
    this.tip.style.top = (y > high + 18 ? y - high - 14 : y + 16) + "px";
  }

  leave() {
    this.near = -1;
    this.tip.hidden = true;
  }

  press(at) {
    this.plane.focus({ preventScroll: true });
    const row = this.pick(at);
    if (row >= 0) this.options.chosen(row);
  }

  // Mark a row, and lines to others
  choose(row, lines = []) {
    Object.assign(this, { row, lines });
    this.overlay();
  }

  zoom(factor) {
    this.camera.zoomAt(factor, this.camera.width / 2, this.camera.height / 2);
    this.leave();
    this.dirty();
  }

  reset() {
    this.camera.reset();
    this.forget();
    this.leave();
    this.dirty();
  }
};
