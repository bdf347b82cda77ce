// Lines over the epochs; a baseline is dashed and grey.
separatrix.draw.curves = (section, data) => {
  const theme = separatrix.theme();
  const colours = [theme.accent, "#e76300", theme.dark ? "#9aa4b0" : "#717581"];
  return Promise.all(data.panels.map((panel, place) => {
    const traces = panel.lines.map((line, k) => ({
      x: line.x, y: line.y, name: line.name, type: "scatter", mode: line.baseline && line.x.length > 1 ? "lines" : "lines+markers",
      line: { color: line.baseline ? theme.muted : colours[k % 3], width: line.baseline ? 1.5 : 2.2, dash: line.baseline ? "dash" : "solid" },
      marker: { size: line.x.length > 1 ? 5 : 9 }, connectgaps: true, hovertemplate: "%{y:.4~g}<extra>" + line.name + "</extra>" }));
    const x = data.panels[place].lines[0].x;
    const layout = separatrix.layout(theme, { hovermode: "x unified", showlegend: true, margin: { l: 46, r: 10, t: 34, b: 42 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: theme.muted }, bgcolor: "rgba(0,0,0,0)" },
      xaxis: separatrix.axis(theme, panel.x, x.length === 1 ? { tickvals: x } : { nticks: 7, tickformat: "~g" }),
      yaxis: separatrix.axis(theme, panel.y, { nticks: 9, tickformat: "~g" }) });
    return Plotly.react(section.querySelectorAll(".panel")[place], traces, layout, separatrix.config);
  }));
};
