"use strict";
// One namespace. A section registers a function (section element, data) under the name in its data-draw attribute; it is
// called once, and the page redraws itself through `separatrix.onTheme` when the colours change.
const separatrix = { draw: {} };

separatrix.theme = () => {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue("--" + name).trim();
  const font = getComputedStyle(document.body).fontFamily;
  return { surface: read("surface"), paper: read("paper"), ink: read("ink"), muted: read("muted"), hair: read("hair"),
    accent: read("accent"), alarm: read("alarm"), font };
};
// Paper is light, and what is drawn on a canvas is drawn again for it.
addEventListener("beforeprint", () => document.documentElement.classList.add("printing"));
addEventListener("afterprint", () => document.documentElement.classList.remove("printing"));
separatrix.onTheme = (redraw) => {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  for (const moment of ["beforeprint", "afterprint"]) addEventListener(moment, redraw);
};
separatrix.calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

separatrix.fill = (node, text, attributes) => {
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  return node;
};
separatrix.element = (tag, text, attributes) => separatrix.fill(document.createElement(tag), text, attributes);
separatrix.svg = (tag, attributes, text) => separatrix.fill(document.createElementNS("http://www.w3.org/2000/svg", tag), text, attributes);

// "#rrggbb" -> [red, green, blue], 0 .. 1
separatrix.rgb = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);

// Do something at most once per drawn frame.
separatrix.once = (act) => {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => { waits = false; act(); });
  };
};

// Round numbers between two ends, five at most besides the first, as `ticks` of charts.py has them
separatrix.ticks = (low, high) => {
  const span = Math.max(high - low, 1e-12), size = 10 ** Math.floor(Math.log10(span / 5));
  const step = size * [1, 2, 2.5, 5, 10].find((factor) => span / (size * factor) <= 5), first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, at) => Number(((first + at) * step).toPrecision(12)));
};

// 0.1234 -> "0.123"; shares and probabilities
separatrix.share = (value) => value.toFixed(3);

// An id as it is shown: without control signs, cut where it is long. What is saved and copied is the id itself.
separatrix.short = (id) => {
  const shown = id.replaceAll(/\p{C}/gu, "");
  return shown.length > 80 ? shown.slice(0, 79) + "\u2026" : shown;
};

// Marks of the classes in a box of 12 x 12, by the name of the shape
separatrix.SHAPES = { circle: "M6 1a5 5 0 1 0 .01 0z", square: "M1.5 1.5h9v9h-9z", "triangle-up": "M6 1 11 10.5H1z",
  "triangle-down": "M6 11 1 1.5h10z", diamond: "M6 .5 11.5 6 6 11.5.5 6z", cross: "M4 1h4v3h3v4H8v3H4V8H1V4h3z" };
separatrix.mark = ([colour, shape]) => {
  const svg = separatrix.svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true", class: "mark" });
  svg.append(separatrix.svg("path", { d: separatrix.SHAPES[shape], fill: colour }));
  return svg;
};
