"use strict";
// A column sorts by its numbers where cells have them (data-sort), else by its words. Cells without a number stay last.
function keyOf(row, column, kind) {
  const cell = row.cells[column];
  if (kind === "number") {
    return cell.dataset.sort === undefined ? null : Number(cell.dataset.sort);
  }
  return cell.textContent.trim();
}
function compare(a, b, way) {
  if (a === null || b === null) {
    return (a === null) - (b === null);
  }
  return way * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
}
function sortBy(head) {
  const way = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of head.parentNode.cells) {
    other.removeAttribute("aria-sort");
  }
  head.setAttribute("aria-sort", way === 1 ? "ascending" : "descending");
  const body = head.closest("table").tBodies[0];
  const rows = Array.from(body.rows);
  const key = (row) => keyOf(row, head.cellIndex, head.dataset.kind);
  rows.sort((a, b) => compare(key(a), key(b), way));
  body.append(...rows);
}
function show() {
  const boxes = Array.from(document.querySelectorAll(".filters input"));
  const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  for (const row of document.querySelectorAll("tr[data-verdict]")) {
    row.hidden = !wanted.has(row.dataset.verdict);
  }
}
document.querySelectorAll("th button").forEach((button) => {
  button.addEventListener("click", () => sortBy(button.closest("th")));
});
document.querySelectorAll(".filters input").forEach((box) => box.addEventListener("change", show));
