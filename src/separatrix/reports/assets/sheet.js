// A map of rows in two or three dimensions. Foreign text in `hovers` and `names` is escaped by the maker of the data.
separatrix.draw.sheet = (section, data) => {
  const plane = section.querySelector(".sheet"), theme = separatrix.theme(), deep = data.points.length === 3;
  const last = data.looks.length - 1, size = data.labels.length > 5000 ? 4 : data.labels.length > 400 ? 6 : 8;
  // A class is one group, or two: rows that guided the map are drawn pale, and only then are there any.
  const groups = new Map();
  data.labels.forEach((label, row) => {
    const k = label < 0 ? last : label, key = 2 * k + (data.pale[row] ? 1 : 0);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(row);
  });
  const trace = ([key, rows]) => {
    const k = Math.floor(key / 2), pale = key % 2 === 1;
    const along = (axis) => rows.map((row) => data.points[axis][row]);
    return { type: deep ? "scatter3d" : "scatter", mode: "markers", name: data.names[k] + (pale ? ", fitted" : ""),
      x: along(0), y: along(1), ...(deep ? { z: along(2) } : {}), customdata: rows.map((row) => data.hovers[row]),
      hovertemplate: "%{customdata}<br><br><b>" + data.names[k] + "</b><extra></extra>",
      marker: { color: data.looks[k][0], symbol: deep ? "circle" : data.looks[k][1], size: deep ? size / 2 : size, opacity: pale ? 0.2 : 0.75 } };
  };
  const traces = [...groups.entries()].sort((one, other) => one[0] - other[0]).map(trace);
  const scene = { xaxis: { title: { text: data.axes[0] } }, yaxis: { title: { text: data.axes[1] } }, zaxis: { title: { text: data.axes[2] } }, aspectmode: "data" };
  const flat = { xaxis: separatrix.axis(theme, data.axes[0]), yaxis: separatrix.axis(theme, data.axes[1], { scaleanchor: "x", scaleratio: 1 }) };
  section.dataset.rows = data.labels.length;
  return Plotly.react(plane, traces, separatrix.layout(theme, { hovermode: "closest", showlegend: traces.length > 1,
    legend: { itemsizing: "constant" }, uirevision: "kept", ...(deep ? { scene } : flat) }), { ...separatrix.config, scrollZoom: true });
};
