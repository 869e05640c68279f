"use strict";
// All of it is comfort: without script every page says the same.

// Times in the reader's own zone.
for (const t of document.querySelectorAll("time[datetime]")) {
  const d = new Date(t.dateTime);
  if (!isNaN(d)) {
    t.title = t.textContent;
    t.textContent = d.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  }
}

// "As text" copies where that can be done.
for (const a of document.querySelectorAll("a[data-copy]")) {
  if (!navigator.clipboard) break;
  a.textContent = "Copy as text";
  a.addEventListener("click", async (e) => {
    e.preventDefault();
    try {
      const res = await fetch(a.href);
      await navigator.clipboard.writeText(await res.text());
      a.textContent = "Copied";
    } catch {
      location = a.href;
    }
  });
}

// The table of containers, live.
const table = document.querySelector("table[data-live]");
if (table && window.EventSource) {
  const said = document.getElementById("live");
  const source = new EventSource(table.dataset.live);
  source.onopen = () => { said.textContent = "· live"; };
  source.onerror = () => { said.textContent = "· connection lost, trying again; these numbers are old"; };
  source.addEventListener("rows", (e) => {
    for (const row of JSON.parse(e.data)) {
      const tr = document.getElementById("c" + row.id);
      if (!tr) continue;
      for (const td of tr.cells) {
        const text = row[td.dataset.c];
        if (text === undefined) continue;
        td.textContent = text;
        td.classList.toggle("none", text === "–");
      }
      const meter = tr.querySelector("meter");
      if (meter && row.share !== undefined) meter.value = row.share;
    }
  });
  source.addEventListener("set", async () => {
    const res = await fetch(location.href);
    if (!res.ok) return;
    const doc = new DOMParser().parseFromString(await res.text(), "text/html");
    const body = doc.querySelector("table[data-live] tbody");
    if (body) table.tBodies[0].replaceWith(document.adoptNode(body));
  });
  addEventListener("pagehide", () => source.close());
}
