// Counts on a ground coloured by the share of the row. Names are escaped by the maker of the data.
separatrix.draw.confusion = (section, data) => {
  const theme = separatrix.theme(), matrix = section.querySelector(".matrix"), k = data.names.length;
  const ids = data.names.map((_, place) => place);
  const hovers = data.counts.map((row, i) => row.map((count, j) =>
    "<b>" + data.names[i] + "</b> taken for <b>" + data.names[j] + "</b><br>" + count + " of " + data.rows[i] +
    " texts, share " + data.shares[i][j].toFixed(3)));
  const said = ids.flatMap((i) => ids.filter((j) => data.counts[i][j]).map((j) => [i, j]));
  const longest = Math.max(...data.names.map((name) => name.length));
  const room = Math.min(220, 56 + 6.6 * longest);
  const cell = Math.max(k <= 12 ? 28 : 17, Math.min(64, (section.clientWidth - room - 34) / k));
  const low = Math.min(150, 20 + 4.8 * longest);
  const ticks = { tickvals: ids, ticktext: data.names, showgrid: false, automargin: false, ticks: "" };
  const small = { size: cell >= 26 ? 12 : 10.5, color: theme.ink };
  matrix.style.width = Math.max(room + 30 + cell * k, 280) + "px";
  matrix.style.height = low + 46 + cell * k + "px";
  const traces = [{ type: "heatmap", z: data.shares, x: ids, y: ids, customdata: hovers, zmin: 0, zmax: 1, showscale: false, xgap: 1, ygap: 1,
    colorscale: [[0, theme.surface], [1, theme.accent]], hovertemplate: "%{customdata}<extra></extra>" },
  // The numbers are points of their own: a colour for each, to be read on any ground.
  { type: "scatter", mode: "text", x: said.map(([, j]) => j), y: said.map(([i]) => i), hoverinfo: "skip", text: said.map(([i, j]) => String(data.counts[i][j])),
    textfont: { size: cell >= 26 ? 13 : 10, color: said.map(([i, j]) => (data.shares[i][j] > 0.6 ? theme.surface : theme.ink)) } }];
  const layout = separatrix.layout(theme, { dragmode: false, margin: { l: room, r: 30, t: 10, b: low + 36 },
    xaxis: separatrix.axis(theme, "predicted", { ...ticks, tickangle: -45, tickfont: small, range: [-0.5, k - 0.5] }),
    yaxis: separatrix.axis(theme, "", { ...ticks, ticktext: data.names.map((name, i) => name + " (" + data.rows[i] + ")"), range: [k - 0.5, -0.5], tickfont: small }) });
  return Plotly.react(matrix, traces, layout, separatrix.config);
};
