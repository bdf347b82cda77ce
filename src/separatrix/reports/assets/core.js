"use strict";
// Sections register a function (section element, data) under the name in their data-draw attribute. It is called again
// when the reader's colour scheme changes, so it must be able to draw twice.
const separatrix = { draw: {} };

separatrix.theme = () => {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue("--" + name).trim();
  const font = getComputedStyle(document.body).fontFamily;
  return { surface: read("surface"), paper: read("paper"), ink: read("ink"), muted: read("muted"), hair: read("hair"),
    accent: read("accent"), font, dark: matchMedia("(prefers-color-scheme: dark)").matches };
};

// base64 of little-endian 16-bit numbers -> Uint16Array
separatrix.numbers = (text) => {
  const raw = atob(text);
  const view = new DataView(Uint8Array.from(raw, (sign) => sign.charCodeAt(0)).buffer);
  return Uint16Array.from({ length: raw.length / 2 }, (_, place) => view.getUint16(2 * place, true));
};

separatrix.axis = (theme, title, more) => ({
  title: { text: title, font: { size: 12, color: theme.muted }, standoff: 8 }, gridcolor: theme.hair, zeroline: false,
  linecolor: theme.hair, tickfont: { size: 11, color: theme.muted }, automargin: true, ...more });

separatrix.layout = (theme, more) => ({
  paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, autosize: true,
  font: { family: theme.font, color: theme.ink }, margin: { l: 48, r: 14, t: 14, b: 44 },
  hoverlabel: { bgcolor: theme.surface, bordercolor: theme.muted, align: "left", font: { family: theme.font, size: 13, color: theme.ink } },
  ...more });

separatrix.config = { displayModeBar: false, displaylogo: false, responsive: true, scrollZoom: false };

separatrix.element = (tag, text, attributes) => {
  const made = document.createElement(tag);
  if (text) made.textContent = text;
  for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
  return made;
};
