"use strict";
// Search, sort and highlight. Without this script all of the page can be read.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  document.documentElement.classList.add("scripted");

  for (const input of all("input[type=search]")) {
    const name = input.dataset.for;
    const rows = all(`#list-${name} > details`);
    const output = document.querySelector(`output[data-for=${name}]`);
    const texts = new Map(rows.map((row) => [row, `${row.dataset.name} ${row.textContent}`.toLowerCase()]));
    const show = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const row of rows) {
        const found = words.every((word) => texts.get(row).includes(word));
        row.classList.toggle("out", !found);
        count += found;
      }
      output.textContent = words.length ? `${count} of ${rows.length}` : `${rows.length}`;
    };
    input.addEventListener("input", show);
    show();
  }

  for (const head of all("div.head")) {
    const list = document.getElementById(`list-${head.dataset.for}`);
    head.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const key = button.dataset.sort;
      const rows = all(":scope > details", list);
      const numeric = rows.every((row) => row.dataset[key] !== "" && !Number.isNaN(Number(row.dataset[key])));
      const down = button.ariaSort ? button.ariaSort === "ascending" : numeric && key !== "first";
      for (const other of all("button", head)) other.ariaSort = null;
      button.ariaSort = down ? "descending" : "ascending";
      const compare = numeric
        ? (a, b) => Number(a.dataset[key]) - Number(b.dataset[key])
        : (a, b) => a.dataset[key].localeCompare(b.dataset[key]);
      rows.sort((a, b) => (down ? -compare(a, b) : compare(a, b)));
      list.append(...rows);
    });
  }

  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const row = target && target.closest("details");
    if (!row) return;
    row.classList.remove("out");
    row.open = true;
    row.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", open);
  open();

  for (const canvas of all(".canvas")) {
    const zoom = canvas.previousElementSibling;
    const button = zoom.querySelector("button");
    const middle = () => (canvas.scrollLeft = (canvas.scrollWidth - canvas.clientWidth) / 2);
    zoom.classList.toggle("needed", canvas.scrollWidth > canvas.clientWidth);
    button.addEventListener("click", () => {
      button.ariaPressed = String(canvas.classList.toggle("fit"));
      middle();
    });
    middle();
  }

  for (const diagram of all("svg.diagram")) {
    const boxes = all(".box", diagram);
    const edges = all(".edge", diagram);
    const pick = (box) => {
      const near = new Set([box.dataset.box]);
      for (const edge of edges) {
        const { from, to } = edge.dataset;
        const touches = from === box.dataset.box || to === box.dataset.box;
        edge.classList.toggle("near", touches);
        if (touches) near.add(from).add(to);
      }
      for (const other of boxes) other.classList.toggle("near", near.has(other.dataset.box));
      diagram.classList.add("picked");
    };
    const drop = () => diagram.classList.remove("picked");
    for (const box of boxes) {
      box.addEventListener("pointerenter", () => pick(box));
      box.addEventListener("pointerleave", drop);
      box.addEventListener("focusin", () => pick(box));
      box.addEventListener("focusout", drop);
    }
  }
})();
