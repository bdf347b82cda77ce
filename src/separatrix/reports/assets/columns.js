// Columns of numbers and texts that stand compressed in inert elements of the page. Nothing is unpacked before it is
// needed, and nothing twice. Where a server shows the page (separatrix explore), texts stand on its disk.
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

// What a server answers, as a Response; its errors are sentences.
separatrix.ask = async (path, query) => {
  const answer = await fetch(path + "?" + new URLSearchParams(query)).catch(() => { throw new Error("separatrix explore has ended"); });
  if (!answer.ok) throw new Error(await answer.text());
  return answer;
};

separatrix.TYPES = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };

separatrix.KEPT = 256;  // blocks of texts of a server that stay in memory
separatrix.SEARCHED = 16384;  // rows that a server searches at a time,
separatrix.READ = 4096;  // and whose texts it hands out

// header: name -> { type, shape, block } of numbers, { type: "text", rows, step, blocks } of texts; in place of blocks a
// column of a server has its number there, served
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

  served(name) { return this.has(name) && this.header[name].served !== undefined; }

  // Promise of some texts of a server
  async fetched(name, start, rows) { return (await separatrix.ask("texts", { column: this.header[name].served, start, rows })).json(); }

  // Promise of the texts of one block: lengths in bytes, then UTF-8
  block(name, number) {
    const { rows, step, blocks } = this.header[name], key = name + "/" + number;
    if (this.served(name)) {
      const texts = this.once(key, () => this.fetched(name, number * step, Math.min(step, rows - number * step)));
      texts.catch(() => this.kept.delete(key));
      const others = [...this.kept.keys()].filter((one) => one.startsWith(name + "/"));
      if (others.length > separatrix.KEPT) this.kept.delete(others[0]);
      return texts;
    }
    return this.once(key, async () => {
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

  // All texts, block by block, as (text, row); the page can draw in between, and going() says whether to go on.
  async each(name, visit, going = () => true) {
    const { rows, step, blocks } = this.header[name];
    for (let start = 0; this.served(name) && start < rows && going(); start += separatrix.READ) {
      (await this.fetched(name, start, Math.min(separatrix.READ, rows - start))).forEach((text, at) => visit(text, start + at));
    }
    if (this.served(name)) return;
    for (let number = 0; number < blocks.length; number += 1) {
      (await this.block(name, number)).forEach((text, at) => visit(text, number * step + at));
    }
  }

  // Mask (rows,) of the texts that hold all words; a server reads its own disk for it.
  async having(name, words, mask, going) {
    if (!this.served(name)) {
      await this.each(name, (text, row) => { const low = text.toLocaleLowerCase(); mask[row] = words.every((word) => low.includes(word)) ? 1 : 0; });
      return mask;
    }
    for (let start = 0; start < mask.length && going(); start += separatrix.SEARCHED) {
      const rows = Math.min(separatrix.SEARCHED, mask.length - start);
      mask.set(new Uint8Array(await (await separatrix.ask("search", { column: this.header[name].served, words: words.join(" "), start, rows })).arrayBuffer()), start);
    }
    return mask;
  }
};
