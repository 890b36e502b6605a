"use strict";
const box = document.getElementById("search");
const shown = document.getElementById("shown");
const rows = Array.from(document.querySelectorAll("tbody tr"), (row) => ({ row, text: row.textContent.toLowerCase() }));
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
  let count = 0;
  for (const { row, text } of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) count++;
  }
  shown.textContent = String(count);
});
