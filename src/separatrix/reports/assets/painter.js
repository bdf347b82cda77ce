// Points on WebGL2. Positions are 16-bit steps; a point glides between two sets of them. Kind: number of its class; state:
// bits 0-1 hidden (0), grey context (1), shown (2); bit 2 a ring around it.
separatrix.VERTEX = `#version 300 es
in vec3 from; in vec3 to; in float kind; in float state;
uniform vec3 fromSpan, toSpan; uniform mat3 turn; uniform vec2 centre, scale; uniform float moment, size; uniform int layer;
uniform sampler2D palette;
flat out vec3 colour; flat out int shape; flat out float grow;
void main() {
  int bits = int(state);
  if ((bits & 3) != layer) { gl_Position = vec4(2.0, 2.0, 2.0, 1.0); gl_PointSize = 1.0; return; }
  vec3 place = turn * mix((from - 0.5) * fromSpan, (to - 0.5) * toSpan, moment);
  gl_Position = vec4((place.xy - centre) * scale, 0.0, 1.0);
  int number = int(kind);
  vec4 look = texelFetch(palette, ivec2(number & 1023, number >> 10), 0);
  colour = look.rgb;
  shape = int(look.a * 255.0 + 0.5);
  grow = (bits & 4) != 0 && layer == 2 ? 1.9 : 1.0;
  gl_PointSize = size * grow;
}`;
separatrix.FRAGMENT = `#version 300 es
precision highp float; precision highp int;
flat in vec3 colour; flat in int shape; flat in float grow;
uniform vec3 ink, context; uniform float size, opacity; uniform int layer;
out vec4 paint;
void main() {
  vec2 p = (gl_PointCoord * 2.0 - 1.0) * grow;
  vec2 a = abs(p);
  float d = length(p) - 0.96;
  if (size > 4.0) {
    if (shape == 1) d = max(a.x, a.y) - 0.82;
    else if (shape == 2) d = max(p.y - 0.7, a.x * 0.87 - p.y * 0.5 - 0.5);
    else if (shape == 3) d = (a.x + a.y - 1.08) * 0.8;
    else if (shape == 4) d = max(-p.y - 0.7, a.x * 0.87 + p.y * 0.5 - 0.5);
    else if (shape == 5) d = min(max(a.x, a.y * 2.6), max(a.x * 2.6, a.y)) - 0.95;
  }
  float cover = clamp(0.5 - d * size * 0.5, 0.0, 1.0) * (layer == 1 ? opacity * 0.3 : opacity);
  vec3 own = layer == 1 ? context : colour;
  if (grow > 1.0) {
    float ring = clamp(1.2 - abs(length(p) - 1.6) * size * 0.5, 0.0, 1.0);
    if (ring > cover) { own = ink; cover = ring; }
  }
  if (cover < 0.01) discard;
  paint = vec4(own * cover, cover);
}`;

separatrix.GlPainter = class {
  constructor(canvas, lost) {
    this.canvas = canvas;
    this.gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true, preserveDrawingBuffer: false });
    if (!this.gl) throw new Error("no WebGL2");
    this.arrays = new Map();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => { this.start(); lost(); });
    this.start();
  }

  start() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, separatrix.VERTEX], [gl.FRAGMENT_SHADER, separatrix.FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) || "shaders do not link");
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.at = {};
    for (let number = 0; number < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); number += 1) {
      const { name } = gl.getActiveUniform(program, number);
      this.at[name] = gl.getUniformLocation(program, name);
    }
    this.places = Object.fromEntries(["from", "to", "kind", "state"].map((name) => [name, gl.getAttribLocation(program, name)]));
    this.buffers = {};
    for (const [name, array] of this.arrays) this.upload(name, array);
    if (this.looks) this.palette(this.looks);
  }

  // name: from, to (u16, rows x dims), kind (u16) or state (u8)
  upload(name, array) {
    const gl = this.gl;
    this.arrays.set(name, array);
    this.buffers[name] = this.buffers[name] || gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
    gl.bufferData(gl.ARRAY_BUFFER, array, gl.DYNAMIC_DRAW);
  }

  // looks: [["#rrggbb", name of the shape], ...]
  palette(looks) {
    const gl = this.gl, high = Math.ceil(looks.length / 1024), pixels = new Uint8Array(4096 * high);
    const order = ["circle", "square", "triangle-up", "diamond", "triangle-down", "cross"];
    looks.forEach(([colour, shape], k) => pixels.set([...separatrix.rgb(colour).map((part) => Math.round(255 * part)), Math.max(order.indexOf(shape), 0)], 4 * k));
    this.looks = looks;
    gl.bindTexture(gl.TEXTURE_2D, this.texture = this.texture && gl.isTexture(this.texture) ? this.texture : gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 1024, high, 0, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
  }

  // Whether WebGL runs on the processor
  software() {
    const names = this.gl.getExtension("WEBGL_debug_renderer_info");
    return /swiftshader|llvmpipe|softpipe|software|basic render/i.test(this.gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : this.gl.RENDERER));
  }

  // Wait until what was drawn is there: reading is what a browser does not put off.
  wait() { this.gl.readPixels(0, 0, 1, 1, this.gl.RGBA, this.gl.UNSIGNED_BYTE, new Uint8Array(4)); }

  // view: camera, dims of from and to, moment of the glide, spans, size (pixels), opacity, colours, layers, over (whether what was drawn before stays);
  // every step-th row is drawn.
  draw(view) {
    const { gl, canvas, at } = this, { camera } = view, ratio = canvas.width / camera.width;
    if (gl.isContextLost()) return;
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    if (!view.over) gl.clear(gl.COLOR_BUFFER_BIT);
    const rows = this.arrays.get("state").length, step = Math.min(view.step || 1, 40);
    const attribute = (name, size, type, bytes, normal) => {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(this.places[name]);
      gl.vertexAttribPointer(this.places[name], size, type, normal, step * bytes, 0);
    };
    attribute("from", view.fromDims, gl.UNSIGNED_SHORT, 2 * view.fromDims, true);
    attribute("to", view.toDims, gl.UNSIGNED_SHORT, 2 * view.toDims, true);
    attribute("kind", 1, gl.UNSIGNED_SHORT, 2, false);
    attribute("state", 1, gl.UNSIGNED_BYTE, 1, false);
    gl.uniform3fv(at.fromSpan, view.fromSpans);
    gl.uniform3fv(at.toSpan, view.toSpans);
    gl.uniformMatrix3fv(at.turn, false, camera.turn);
    gl.uniform2f(at.centre, camera.x, camera.y);
    gl.uniform2f(at.scale, (2 * camera.scale) / camera.width, (2 * camera.scale) / camera.height);
    gl.uniform1f(at.moment, view.moment);
    gl.uniform1f(at.size, view.size * ratio);
    gl.uniform1f(at.opacity, view.opacity);
    gl.uniform3fv(at.ink, view.ink);
    gl.uniform3fv(at.context, view.context);
    for (const layer of view.layers) {
      gl.uniform1i(at.layer, layer);
      gl.drawArrays(gl.POINTS, 0, Math.ceil(rows / step));
    }
  }
};
