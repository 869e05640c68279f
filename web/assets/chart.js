"use strict";
// The memory of a container, by uPlot.
(async () => {
  const at = document.getElementById("chart");
  if (!at || !window.uPlot) return;
  const q = new URLSearchParams({ what: at.dataset.what, span: at.dataset.span });
  let c;
  try {
    const res = await fetch("/v1/memory?" + q);
    if (!res.ok) throw new Error(res.statusText);
    c = await res.json();
  } catch (e) {
    at.textContent = "The readings cannot be shown: " + e.message;
    return;
  }
  const size = (v) => {
    if (v == null) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    while (v >= 1024 && i < units.length - 1) { v /= 1024; i++; }
    return (v >= 100 || i === 0 ? v.toFixed(0) : v.toFixed(1)) + " " + units[i];
  };
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const marks = (u) => {
    const ctx = u.ctx;
    const ends = []; // where the last word of each row ends: no word is written over another
    const line = (t, stroke, dash, word) => {
      const x = Math.round(u.valToPos(t, "x", true));
      if (x < u.bbox.left || x > u.bbox.left + u.bbox.width) return;
      ctx.save();
      ctx.strokeStyle = ctx.fillStyle = stroke;
      ctx.lineWidth = devicePixelRatio;
      ctx.setLineDash(dash.map((d) => d * devicePixelRatio));
      ctx.beginPath();
      ctx.moveTo(x, u.bbox.top);
      ctx.lineTo(x, u.bbox.top + u.bbox.height);
      ctx.stroke();
      ctx.textAlign = "left"; // uPlot leaves it as its axes want it
      ctx.font = 11 * devicePixelRatio + "px system-ui, sans-serif";
      const wide = ctx.measureText(word).width;
      const at = Math.min(x + 3 * devicePixelRatio, u.bbox.left + u.bbox.width - wide);
      let row = 0;
      while (row < ends.length && ends[row] > at) row++;
      if (row < 4) {
        const y = u.bbox.top + (11 + 13 * row) * devicePixelRatio;
        ends[row] = at + wide + 4 * devicePixelRatio;
        ctx.fillStyle = colour("--bg"); // a word must be read over a curve
        ctx.fillRect(at - devicePixelRatio, y - 9 * devicePixelRatio, wide + 2 * devicePixelRatio, 11 * devicePixelRatio);
        ctx.fillStyle = stroke;
        ctx.fillText(word, at, y);
      }
      ctx.restore();
    };
    const all = c.starts.map((t) => [t, colour("--soft"), [2, 3], "restart"])
      .concat(c.kills.map((t) => [t, colour("--critical"), [5, 3], "child killed"]))
      .concat(c.incidents.map((i) => [i.t, colour("--" + i.severity), i.mark === "child killed" ? [5, 3] : [], i.mark]));
    for (const m of all.sort((a, b) => a[0] - b[0])) line(...m);
  };
  const series = (label, key, stroke, more) => Object.assign({ label, stroke, width: 1.5, value: (_, v) => size(v), spanGaps: false, data: c[key] }, more);
  const all = [
    series("in use", "used", colour("--fg")),
    series("held", "held", colour("--link")),
    series("anon", "anon", "#d98324"),
    series("page cache", "file", "#2f8f6b", { show: false }),
    series("kernel", "kernel", "#b0568f", { show: false }),
    series("limit", "limit", colour("--critical"), { dash: [6, 4] }),
    series("parent's limit now", "parent", colour("--warning"), { dash: [2, 3] }),
  ].filter((s) => s.data && s.data.some((v) => v != null));
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const steps = [];
  for (let i = 0; i < 45; i++) steps.push(2 ** i);
  const opts = {
    width: at.clientWidth, height: Math.max(260, Math.min(420, Math.round(at.clientWidth * 0.5))),
    cursor: { drag: { x: true, y: false } },
    scales: { y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.08 : 1] } },
    axes: [axis, Object.assign({ size: 70, incrs: steps, values: (_, vs) => vs.map(size) }, axis)],
    series: [{}].concat(all.map(({ data, ...s }) => s)),
    hooks: { draw: [marks] },
  };
  const u = new uPlot(opts, [c.t].concat(all.map((s) => s.data)), at);
  let width = at.clientWidth;
  addEventListener("resize", () => {
    if (at.clientWidth !== width) u.setSize({ width: (width = at.clientWidth), height: opts.height });
  });
})();
