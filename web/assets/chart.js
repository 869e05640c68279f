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
    return (v >= 100 || i === 0 ? v.toFixed(0) : v.toFixed(1).replace(/\.0$/, "")) + " " + units[i];
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
  // The breakdown is stacked, so that it is read against the line of what is in use.
  const parts = [["anonymous", "#d98324", (i) => c.anon[i]], ["kernel", "#2f8f6b", (i) => c.kernel[i]],
    ["shared, tmpfs", "#b0568f", (i) => c.shmem[i]], ["page cache", "#4a8fd4", (i) => (c.file[i] == null ? null : c.file[i] - (c.shmem[i] || 0))]]
    .map(([label, fill, of]) => ({ label, fill, own: c.t.map((_, i) => of(i)) })).filter((p) => p.own.some((v) => v > 0));
  const sums = c.t.map(() => 0);
  for (const p of parts) {
    p.data = p.own.map((v, i) => (v == null ? null : (sums[i] += v)));
    Object.assign(p, { stroke: p.fill, width: 0, points: { show: false }, value: (_, v, __, i) => size(i == null ? null : p.own[i]) });
  }
  const line = (label, key, stroke, more) => Object.assign({ label, stroke, width: 1.5, points: { show: false }, spanGaps: false, value: (_, v) => size(v), data: c[key] }, more);
  // What lies below is drawn last.
  const all = parts.slice().reverse().concat([
    line("in use", "used", colour("--fg")),
    line("limit", "limit", colour("--critical"), { dash: [6, 4] }),
    line("parent's limit now", "parent", colour("--warning"), { dash: [2, 3] }),
  ].filter((s) => s.data && s.data.some((v) => v != null)));
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const steps = [];
  for (let i = 0; i < 45; i++) steps.push(2 ** i);
  const two = (n) => String(n).padStart(2, "0");
  const day = (d) => d.getFullYear() + "-" + two(d.getMonth() + 1) + "-" + two(d.getDate());
  const hour = (d) => two(d.getHours()) + ":" + two(d.getMinutes());
  const times = (u, at, _, __, step) => at.map((t, i) => {
    const d = new Date(t * 1000);
    return step >= 86400 ? day(d).slice(5) : i > 0 && day(d) !== day(new Date(at[i - 1] * 1000)) ? day(d).slice(5) : hour(d);
  });
  const tip = document.createElement("p");
  tip.className = "tip";
  tip.hidden = true;
  // Beside the cursor stands what was then: the parts, the limit, and what happened near it.
  const point = (u) => {
    const i = u.cursor.idx;
    tip.hidden = i == null || u.cursor.left < 0;
    if (tip.hidden) return;
    const d = new Date(c.t[i] * 1000);
    const near = (u.posToVal(8, "x") - u.posToVal(0, "x"));
    const words = [day(d) + " " + hour(d) + ":" + two(d.getSeconds())]
      .concat(all.slice().reverse().map((s) => s.label + " " + s.value(u, s.data[i], 0, i)))
      .concat(c.incidents.filter((m) => Math.abs(m.t - c.t[i]) <= near).map((m) => m.mark + ": " + m.summary))
      .concat(c.starts.some((t) => Math.abs(t - c.t[i]) <= near) ? ["restart"] : []);
    tip.textContent = words.join("\n");
    const left = u.cursor.left + u.over.offsetLeft, room = at.clientWidth - tip.offsetWidth;
    tip.style.left = Math.max(0, left + 14 <= room ? left + 14 : Math.min(left - tip.offsetWidth - 14, room)) + "px";
    tip.style.top = u.over.offsetTop + 30 + "px";
  };
  const opts = {
    width: at.clientWidth, height: Math.max(260, Math.min(420, Math.round(at.clientWidth * 0.5))),
    cursor: { drag: { x: true, y: false } }, legend: { live: false },
    scales: { y: { range: (_, lo, hi) => [0, hi > 0 ? hi * 1.3 : 1] } },
    axes: [Object.assign({ values: times, space: 60 }, axis), Object.assign({ size: 66, incrs: steps, values: (_, vs) => vs.map(size) }, axis)],
    series: [{}].concat(all.map(({ data, own, ...s }) => s)),
    hooks: { draw: [marks], setCursor: [point] },
  };
  const u = new uPlot(opts, [c.t].concat(all.map((s) => s.data)), at);
  at.append(tip);
  let width = at.clientWidth;
  addEventListener("resize", () => {
    if (at.clientWidth !== width) u.setSize({ width: (width = at.clientWidth), height: opts.height });
  });
})();
