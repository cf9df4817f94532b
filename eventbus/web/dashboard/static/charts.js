// The charts of the overview: drawn by uPlot from the samples that the page's JSON has.
"use strict";

const Charts = (() => {
  const KEPT = 600;
  const SERIES = {
    rates: [["events", "events/s"], ["deliveries", "deliveries/s"]],
    arrival: [["arrival_p50", "half, ms", 1000], ["arrival_p99", "99 of 100, ms", 1000]],
    pending: [["pending", "pending"], ["oldest", "oldest, s"]],
  };
  let samples = [];
  let charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function dataOf(kind) {
    const columns = SERIES[kind].map(([field, , scale]) => samples.map((sample) => sample[field] * (scale || 1)));
    return [samples.map((sample) => sample.at), ...columns];
  }

  // In the legend: what the cursor is on, else the latest.
  const at = (plot, value, series, index) => (index == null ? plot.data[series].at(-1) : value);
  const clock = (seconds) => new Date(seconds * 1000).toTimeString().slice(0, 8);
  const time = (...where) => { const found = at(...where); return found == null ? "–" : clock(found); };
  const number = (...where) => at(...where)?.toLocaleString("en", { maximumFractionDigits: 1 }) ?? "–";

  function draw(place) {
    const kind = place.dataset.chart;
    const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line") } };
    const second = kind === "pending" ? "y2" : "y";
    const [one, two] = SERIES[kind];
    const options = {
      width: place.clientWidth || 400,
      height: 220,
      cursor: { y: false },
      scales: { x: { range: (_, low, high) => [Math.max(high - KEPT, Math.min(low, high - 60)), high] }, y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] }, y2: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
      axes: [{ ...axis, values: (_, ticks) => ticks.map(clock), space: 70 }, { ...axis, size: 60 }, ...(second === "y2" ? [{ ...axis, scale: "y2", side: 1, size: 60, grid: { show: false } }] : [])],
      series: [
        { value: time },
        { label: one[1], value: number, stroke: color("--one"), width: 2, fill: color("--one") + "22" },
        { label: two[1], value: number, stroke: color("--two"), width: 2, scale: second },
      ],
    };
    place.replaceChildren();
    fitted.observe(place);
    charts.push({ kind, place, plot: new uPlot(options, dataOf(kind), place) });
  }

  function drawAll() {
    fitted.disconnect();
    charts.forEach((chart) => chart.plot.destroy());
    charts = [];
    document.querySelectorAll("[data-chart]").forEach(draw);
  }

  function add(more) {
    const newer = more.filter((sample) => sample.at * 1000 > since());
    samples = samples.concat(newer).slice(-KEPT);
    charts.forEach((chart) => chart.plot.setData(dataOf(chart.kind)));
  }

  const since = () => (samples.length ? Math.ceil(samples[samples.length - 1].at * 1000) : 0);

  // A scroll bar that comes, or a column that goes, changes the width as a window's does.
  const fitted = new ResizeObserver(() => charts.forEach((chart) => {
    const width = chart.place.clientWidth;
    if (width && width !== chart.plot.width) chart.plot.setSize({ width, height: 220 });
  }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  return { drawAll, add, since };
})();
