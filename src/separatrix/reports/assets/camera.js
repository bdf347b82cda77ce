// The part of the plane in view. World: the longer side of a map is 1, its centre (0, 0), y upwards. Pixels: y downwards.
separatrix.Camera = class {
  constructor() {
    Object.assign(this, { x: 0, y: 0, zoom: 1, width: 1, height: 1, spans: [1, 1, 0], turn: [1, 0, 0, 0, 1, 0, 0, 0, 1] });
    this.yaw = 0;
    this.pitch = 0;
  }

  // pixels for one unit of the world
  get scale() {
    const [across, up, deep] = this.spans, round = deep ? Math.hypot(across, up, deep) : 0;
    return 0.96 * this.zoom * Math.min(this.width / Math.max(across, round), this.height / Math.max(up, round));
  }

  toPixel(x, y) { return [this.width / 2 + (x - this.x) * this.scale, this.height / 2 - (y - this.y) * this.scale]; }

  toWorld(x, y) { return [this.x + (x - this.width / 2) / this.scale, this.y - (y - this.height / 2) / this.scale]; }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y += dy / this.scale;
  }

  // Zoom about a pixel, which keeps its place.
  zoomAt(factor, x, y) {
    const [worldX, worldY] = this.toWorld(x, y);
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.5), 4000);
    const [pixelX, pixelY] = this.toPixel(worldX, worldY);
    this.pan(x - pixelX, y - pixelY);
  }

  // Turn a map of three dimensions: angles in radians.
  rotate(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.min(Math.max(this.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    const [c, s, k, t] = [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
    this.turn = [c, -s * t, s * k, 0, k, t, -s, -c * t, c * k];  // columns of the matrix
  }

  reset() {
    Object.assign(this, { x: 0, y: 0, zoom: 1, yaw: 0, pitch: 0 });
    this.rotate(0, 0);
  }

  // Places of all rows in the world's plane: positions u16 (rows x dims) -> Float32Array (rows x 2)
  places(positions, dims) {
    const rows = positions.length / dims, places = new Float32Array(2 * rows), [m0, m1, , m3, m4, , m6, m7] = this.turn;
    const [across, up, deep] = this.spans.map((span) => span / 65535), [halfX, halfY, halfZ] = this.spans.map((span) => span / 2);
    for (let row = 0; row < rows; row += 1) {
      const x = positions[dims * row] * across - halfX, y = positions[dims * row + 1] * up - halfY;
      const z = dims === 3 ? positions[dims * row + 2] * deep - halfZ : 0;
      places[2 * row] = m0 * x + m3 * y + m6 * z;
      places[2 * row + 1] = m1 * x + m4 * y + m7 * z;
    }
    return places;
  }
};
