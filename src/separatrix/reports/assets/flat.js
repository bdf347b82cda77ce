// The same points on a flat canvas, where the browser has no WebGL2.
separatrix.FlatPainter = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });  // drawn by the processor: there is no other
    this.arrays = new Map();
    this.stamps = new Map();
  }

  upload(name, array) { this.arrays.set(name, array); }

  palette(looks) {
    this.looks = looks;
    this.stamps.clear();
  }

  // A small picture of a mark, made once
  stamp(colour, shape, size, ring) {
    const key = [colour, shape, size, ring].join();
    if (!this.stamps.has(key)) {
      const stamp = document.createElement("canvas"), grow = ring ? 1.9 : 1, side = Math.ceil(size * grow) + 2;
      stamp.width = stamp.height = side;
      const pen = stamp.getContext("2d");
      pen.translate(side / 2, side / 2);
      if (ring) {
        pen.strokeStyle = ring;
        pen.lineWidth = 1.2 * (this.canvas.width / this.canvas.clientWidth || 1);
        pen.beginPath();
        pen.arc(0, 0, 0.8 * size, 0, 2 * Math.PI);
        pen.stroke();
      }
      pen.scale(size / 11, size / 11);
      pen.translate(-6, -6);
      pen.fillStyle = colour;
      pen.fill(new Path2D(separatrix.SHAPES[size > 4 ? shape : "circle"]));
      this.stamps.set(key, stamp);
    }
    return this.stamps.get(key);
  }

  wait() {}

  draw(view) {
    const { canvas, context } = this, { camera, moment } = view, ratio = canvas.width / camera.width, size = view.size * ratio;
    const start = (dims, name, spans) => {
      const { spans: own } = camera;
      camera.spans = spans;
      const places = camera.places(this.arrays.get(name), dims);
      camera.spans = own;
      return places;
    };
    const to = start(view.toDims, "to", view.toSpans), from = moment < 1 ? start(view.fromDims, "from", view.fromSpans) : to;
    const state = this.arrays.get("state"), kind = this.arrays.get("kind"), css = (part) => "rgb(" + part.map((value) => Math.round(255 * value)).join() + ")";
    const grey = css(view.context), ink = css(view.ink);
    context.clearRect(0, 0, canvas.width, canvas.height);
    for (const layer of view.layers) {
      context.globalAlpha = layer === 1 ? view.opacity * 0.5 : view.opacity;
      for (let row = 0; row < state.length; row += view.step || 1) {
        if ((state[row] & 3) !== layer) continue;
        const x = from[2 * row] + moment * (to[2 * row] - from[2 * row]), y = from[2 * row + 1] + moment * (to[2 * row + 1] - from[2 * row + 1]);
        const [across, down] = camera.toPixel(x, y), [colour, shape] = this.looks[kind[row]];
        const stamp = this.stamp(layer === 1 ? grey : colour, shape, size, layer === 2 && state[row] & 4 ? ink : "");
        context.drawImage(stamp, Math.round(across * ratio - stamp.width / 2), Math.round(down * ratio - stamp.height / 2));
      }
    }
  }
};
