// A map of rows in two or three dimensions. Foreign text in `hovers` and `names` is escaped by the maker of the data.
separatrix.draw.sheet = (section, data) => {
  const plane = section.querySelector(".sheet"), theme = separatrix.theme(), deep = data.points.length === 3;
  const groups = data.looks.map(() => []);
  data.labels.forEach((label, row) => groups[label < 0 ? data.looks.length - 1 : label].push(row));
  const size = data.labels.length > 5000 ? 4 : data.labels.length > 400 ? 6 : 8;
  const traces = groups.map((rows, k) => ({
    type: deep ? "scatter3d" : "scatter", mode: "markers", name: data.names[k],
    x: rows.map((row) => data.points[0][row]), y: rows.map((row) => data.points[1][row]),
    ...(deep ? { z: rows.map((row) => data.points[2][row]) } : {}),
    customdata: rows.map((row) => data.hovers[row]), hovertemplate: "%{customdata}<br><br><b>" + data.names[k] + "</b><extra></extra>",
    marker: { color: data.looks[k][0], symbol: deep ? "circle" : data.looks[k][1], size: deep ? size / 2 : size, opacity: 0.75 } }))
    .filter((trace) => trace.x.length);
  const scene = { xaxis: { title: { text: data.axes[0] } }, yaxis: { title: { text: data.axes[1] } }, zaxis: { title: { text: data.axes[2] } }, aspectmode: "data" };
  const flat = { xaxis: separatrix.axis(theme, data.axes[0]), yaxis: separatrix.axis(theme, data.axes[1], { scaleanchor: "x", scaleratio: 1 }) };
  section.dataset.rows = data.labels.length;
  return Plotly.react(plane, traces, separatrix.layout(theme, { hovermode: "closest", showlegend: traces.length > 1,
    uirevision: "kept", ...(deep ? { scene } : flat) }), { ...separatrix.config, scrollZoom: true });
};
