// Columns of numbers and texts that stand compressed in inert elements of the page. Nothing is unpacked before it is
// needed, and nothing twice.
separatrix.parsed = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", done);
  else done();
});

// base64 of a zlib stream in the element block-<number> -> ArrayBuffer
separatrix.unpack = async (number) => {
  if (!document.getElementById("block-" + number)) await separatrix.parsed;
  const packed = atob(document.getElementById("block-" + number).textContent), bytes = new Uint8Array(packed.length);
  for (let at = 0; at < packed.length; at += 1) bytes[at] = packed.charCodeAt(at);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
};

separatrix.TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

// header: name -> { type, shape, block } of numbers, { type: "text", rows, step, blocks } of texts
separatrix.Columns = class {
  constructor(header) {
    this.header = header || {};
    this.kept = new Map();
  }

  has(name) { return name in this.header; }

  once(key, make) {
    if (!this.kept.has(key)) this.kept.set(key, make());
    return this.kept.get(key);
  }

  // Promise of a typed array, all axes behind one another; null where there is no such column
  async numbers(name) {
    if (!this.has(name)) return null;
    const { type, block } = this.header[name];
    return this.once(name, async () => new separatrix.TYPES[type](await separatrix.unpack(block)));
  }

  // Promise of the texts of one block: lengths in bytes, then UTF-8
  block(name, number) {
    const { rows, step, blocks } = this.header[name];
    return this.once(name + "/" + number, async () => {
      const buffer = await separatrix.unpack(blocks[number]), count = Math.min(step, rows - number * step);
      const lengths = new Uint32Array(buffer, 0, count), reader = new TextDecoder(), texts = new Array(count);
      for (let row = 0, at = 4 * count; row < count; row += 1) {
        texts[row] = reader.decode(new Uint8Array(buffer, at, lengths[row]));
        at += lengths[row];
      }
      return texts;
    });
  }

  async text(name, row) {
    const { step } = this.header[name];
    return (await this.block(name, Math.floor(row / step)))[row % step];
  }

  // All texts, block by block, as (text, row); the page can draw in between.
  async each(name, visit) {
    const { step, blocks } = this.header[name];
    for (let number = 0; number < blocks.length; number += 1) {
      (await this.block(name, number)).forEach((text, at) => visit(text, number * step + at));
    }
  }
};
