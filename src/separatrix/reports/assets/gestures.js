// Hands on a map: drag moves it (or turns it, or draws a lasso or a box), wheel and two fingers zoom, a press chooses.
// The wheel zooms only where the map has the focus or Ctrl is held, so that it never catches a page that scrolls by.
separatrix.gestures = (plane, camera, act) => {
  const fingers = new Map();
  let start = null, track = null, spread = 0;
  const place = (event) => {
    const box = plane.getBoundingClientRect();
    return [event.clientX - box.left - plane.clientLeft, event.clientY - box.top - plane.clientTop];
  };
  const middle = () => {
    const all = [...fingers.values()];
    return [all.reduce((sum, [x]) => sum + x, 0) / all.length, all.reduce((sum, [, y]) => sum + y, 0) / all.length];
  };
  const width = () => {
    const [one, other] = [...fingers.values()];
    return other ? Math.hypot(one[0] - other[0], one[1] - other[1]) : 0;
  };
  const mode = (event) => (event.shiftKey ? (act.mode() === "lasso" ? "move" : "lasso") : act.mode());

  plane.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button, a")) return;
    fingers.set(event.pointerId, place(event));
    plane.setPointerCapture(event.pointerId);
    start = { at: place(event), mode: fingers.size > 1 ? "pinch" : mode(event), moved: fingers.size > 1 };
    track = [place(event)];
    spread = width();
  });
  plane.addEventListener("pointermove", (event) => {
    const at = place(event);
    if (!fingers.has(event.pointerId)) return act.hover(at, event.pointerType);
    const before = middle();
    fingers.set(event.pointerId, at);
    if (!start.moved && Math.hypot(at[0] - start.at[0], at[1] - start.at[1]) < 4) return undefined;
    start.moved = true;
    const [dx, dy] = [middle()[0] - before[0], middle()[1] - before[1]];
    if (start.mode === "pinch") {
      camera.pan(dx, dy);
      if (spread) camera.zoomAt(width() / spread, ...middle());
      spread = width();
    } else if (start.mode === "move") camera.pan(dx, dy);
    else if (start.mode === "turn") camera.rotate(dx / 150, dy / 150);
    else {
      if (start.mode === "lasso") track.push(at);
      else track = [start.at, [at[0], start.at[1]], at, [start.at[0], at[1]]];
      return act.outline(track);
    }
    return act.moved(start.mode === "turn");
  });
  const lift = (event) => {
    if (!fingers.delete(event.pointerId)) return;
    if (fingers.size) { spread = width(); return; }
    act.outline(null);
    if (event.type === "pointercancel") return;
    if (!start.moved) act.press(place(event));
    else if (["lasso", "box"].includes(start.mode)) act.select(track.map(([x, y]) => camera.toWorld(x, y)));
    else act.rested();
  };
  plane.addEventListener("pointerup", lift);
  plane.addEventListener("pointercancel", lift);
  plane.addEventListener("pointerleave", () => act.hover(null));
  plane.addEventListener("dblclick", () => act.reset());
  plane.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !plane.contains(document.activeElement)) return;
    event.preventDefault();
    camera.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...place(event));
    act.moved(false);
    act.rested();
  }, { passive: false });
};
