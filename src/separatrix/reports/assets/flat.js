// The same points drawn by the processor, pixel by pixel: where there is no WebGL2, and where WebGL itself runs on the
// processor, which takes several times as long.
separatrix.SMALL = 3;  // pixels up to which a mark is a square
separatrix.FlatPainter = class {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
    this.arrays = new Map();
    this.worlds = new Map();
    this.stamps = new Map();
  }

  upload(name, array) {
    this.arrays.set(name, array);
    this.worlds.delete(name);
  }

  palette(looks) { this.looks = looks; }

  wait() {}

  // Places of the rows in the world; computed again where the map was turned
  world(name, dims, spans, camera) {
    const key = [dims, spans, camera.turn].join(), known = this.worlds.get(name);
    if (known && known.key === key) return known.places;
    const own = camera.spans;
    camera.spans = spans;
    const places = camera.places(this.arrays.get(name), dims);
    camera.spans = own;
    this.worlds.set(name, { key, places });
    return places;
  }

  // What a mark covers: [dx, dy, cover of the mark, cover of its ring], 0 .. 256, for each pixel
  stamp(shape, size, ring) {
    const key = [shape, size, ring].join();
    if (!this.stamps.has(key)) {
      const small = document.createElement("canvas"), side = 2 * Math.ceil(size * (ring ? 1 : 0.5)) + 3, half = side >> 1, pen = small.getContext("2d", { willReadFrequently: true });
      small.width = small.height = side;
      pen.translate(half + 0.5, half + 0.5);
      pen.strokeStyle = "#0f0";
      pen.lineWidth = Math.max(1.1, size / 8);
      pen.arc(0, 0, 0.8 * size, 0, 2 * Math.PI);
      if (ring) pen.stroke();
      pen.scale(size / 11, size / 11);
      pen.translate(-6, -6);
      pen.fillStyle = "#f00";
      pen.fill(new Path2D(separatrix.SHAPES[shape]));
      const { data } = pen.getImageData(0, 0, side, side), stamp = [];
      for (let at = 0; at < side * side; at += 1) {
        const cover = data[4 * at + 3];
        if (cover) stamp.push((at % side) - half, Math.floor(at / side) - half, data[4 * at] > 127 ? cover + 1 : 0, data[4 * at + 1] > 127 ? cover + 1 : 0);
      }
      this.stamps.set(key, Int16Array.from(stamp));
    }
    return this.stamps.get(key);
  }

  draw(view) {
    const { canvas, context } = this, { camera, moment, step } = view, { width, height } = canvas, ratio = width / camera.width;
    if (!this.image || this.image.width !== width || this.image.height !== height) this.image = context.createImageData(width, height);
    const to = this.world("to", view.toDims, view.toSpans, camera), from = moment < 1 ? this.world("from", view.fromDims, view.fromSpans, camera) : to;
    const state = this.arrays.get("state"), scale = camera.scale * ratio, middleX = width / 2 - camera.x * scale, middleY = height / 2 + camera.y * scale;
    if (!view.over) new Uint32Array(this.image.data.buffer).fill(this.packed(view.ground));
    const size = Math.round(2 * view.size * ratio) / 2, mark = size <= separatrix.SMALL ? this.squares(view, Math.round(size)) : this.shapes(view, size);
    for (const layer of view.layers) {
      for (let row = 0; row < state.length; row += step) {
        if ((state[row] & 3) !== layer) continue;
        const x = middleX + scale * (from[2 * row] + moment * (to[2 * row] - from[2 * row])), y = middleY - scale * (from[2 * row + 1] + moment * (to[2 * row + 1] - from[2 * row + 1]));
        if (x >= -40 && y >= -40 && x < width + 40 && y < height + 40) mark(row, Math.round(x), Math.round(y), layer);
      }
    }
    context.putImageData(this.image, 0, 0);
  }

  packed([red, green, blue]) { return (255 << 24 | Math.round(255 * blue) << 16 | Math.round(255 * green) << 8 | Math.round(255 * red)) >>> 0; }

  // Small marks: squares that are mixed with what lies below in halves or eighths, four parts of a pixel at once
  squares(view, side) {
    const pixels = new Uint32Array(this.image.data.buffer), { width, height } = this.image, kinds = this.arrays.get("kind"), states = this.arrays.get("state");
    const colours = Uint32Array.from(this.looks, ([colour]) => this.packed(separatrix.rgb(colour))), grey = this.packed(view.context), ink = this.packed(view.ink);
    const eighth = view.opacity < 0.3;
    return (row, left, top, layer) => {
      const own = layer === 1 ? grey : colours[kinds[row]], ring = layer === 2 && states[row] & 4 ? 1 : 0;
      for (let y = Math.max(top - ring, 0); y < Math.min(top + side + ring, height); y += 1) {
        for (let x = Math.max(left - ring, 0); x < Math.min(left + side + ring, width); x += 1) {
          const at = y * width + x, below = pixels[at], colour = ring && (y < top || x < left || y >= top + side || x >= left + side) ? ink : own;
          pixels[at] = eighth || layer === 1 ? below - ((below >>> 3) & 0x1f1f1f1f) + ((colour >>> 3) & 0x1f1f1f1f) : ((below >>> 1) & 0x7f7f7f7f) + ((colour >>> 1) & 0x7f7f7f7f);
        }
      }
    };
  }

  // Larger marks: each with its shape, smooth at its edge
  shapes(view, size) {
    const pixels = this.image.data, { width, height } = this.image, kinds = this.arrays.get("kind"), states = this.arrays.get("state"), ink = view.ink.map((part) => 255 * part);
    const grey = view.context.map((part) => 255 * part), colours = this.looks.map(([colour]) => separatrix.rgb(colour).map((part) => 255 * part));
    return (row, left, top, layer) => {
      const kind = kinds[row], ring = layer === 2 && (states[row] & 4) > 0, stamp = this.stamp(this.looks[kind][1], size, ring);
      const own = layer === 1 ? grey : colours[kind], opacity = (layer === 1 ? view.opacity * 0.3 : view.opacity) / 256;
      for (let k = 0; k < stamp.length; k += 4) {
        const x = left + stamp[k], y = top + stamp[k + 1];
        if (x < 0 || y < 0 || x >= width || y >= height) continue;
        const at = 4 * (y * width + x), rim = stamp[k + 3], share = rim ? rim / 256 : stamp[k + 2] * opacity, colour = rim ? ink : own;
        for (let part = 0; part < 3; part += 1) pixels[at + part] += (colour[part] - pixels[at + part]) * share;
      }
    };
  }
};
