// Draws the overview's charts with uPlot, from the samples in the page's JSON.
"use strict";

const Charts = (() => {
  const MAX_SAMPLES = 600; // one a second
  const SERIES = {
    rates: [["events", "events/s"], ["deliveries", "deliveries/s"]],
    latency: [["arrival_p50", "p50, ms", 1000], ["arrival_p99", "p99, ms", 1000]],
    pending: [["pending", "pending"], ["oldest", "oldest pending, s"]],
  };
  let samples = [];
  let charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function dataOf(kind) {
    const columns = SERIES[kind].map(([field, , scale]) => samples.map((sample) => sample[field] * (scale || 1)));
    return [samples.map((sample) => sample.at), ...columns];
  }

  // The legend's value: at the cursor, or the latest one without a cursor.
  const at = (plot, value, series, index) => (index == null ? plot.data[series].at(-1) : value);
  const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);
  const time = (...where) => { const found = at(...where); return found == null ? "–" : clock(found); };
  const number = (...where) => at(...where)?.toLocaleString("en", { maximumFractionDigits: 1 }) ?? "–";

  function draw(element) {
    const kind = element.dataset.chart;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
    const second = kind === "pending" ? "y2" : "y";
    const [one, two] = SERIES[kind];
    const options = {
      width: element.clientWidth || 400,
      height: 220,
      cursor: { y: false },
      scales: { x: { range: (_, low, high) => [Math.max(high - MAX_SAMPLES, Math.min(low, high - 60)), high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] }, y2: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map(clock), space: 70 }, { ...axis, size: 60 }, ...(second === "y2" ? [{ ...axis, scale: "y2", side: 1, size: 60, grid: { show: false } }] : [])],
      series: [
        { value: time },
        { label: one[1], value: number, stroke: color("--one"), width: 2, fill: color("--one") + "22" },
        { label: two[1], value: number, stroke: color("--two"), width: 2, scale: second },
      ],
    };
    element.replaceChildren();
    fitted.observe(element);
    charts.push({ kind, element, plot: new uPlot(options, dataOf(kind), element) });
  }

  function drawAll() {
    fitted.disconnect();
    charts.forEach((chart) => chart.plot.destroy());
    charts = [];
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  function add(more) {
    const newer = more.filter((sample) => sample.at * 1000 > since());
    samples = samples.concat(newer).slice(-MAX_SAMPLES);
    charts.forEach((chart) => chart.plot.setData(dataOf(chart.kind)));
  }

  const since = () => (samples.length ? Math.ceil(samples[samples.length - 1].at * 1000) : 0);

  // A scroll bar or a changed number of columns changes the width, as resizing the window does.
  const fitted = new ResizeObserver(() => charts.forEach((chart) => {
    const width = chart.element.clientWidth;
    if (width && width !== chart.plot.width) chart.plot.setSize({ width, height: 220 });
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  return { drawAll, add, since };
})();
