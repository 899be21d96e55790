"use strict";
// Clicking a head sorts its table, by value where the column holds numbers; again, the other way.
// What is empty comes last either way. Typing in a field shows the rows that hold the text.

function value(cell) {
  const text = cell.textContent.replace(/[,<%]/g, "");
  const number = parseFloat(text);
  return Number.isNaN(number) ? null : number;
}

function compare(a, b) {
  if (typeof a === "number") return a - b;
  return a.localeCompare(b, undefined, { numeric: true });
}

function sort(table, column, head) {
  const numbers = head.classList.contains("n");
  const before = head.getAttribute("aria-sort");
  const first = numbers ? "descending" : "ascending";
  const other = numbers ? "ascending" : "descending";
  const order = before === first ? other : first;
  const keyed = Array.from(table.tBodies[0].rows, (row) => {
    const cell = row.cells[column];
    return { row, key: numbers ? value(cell) : cell.textContent || null };
  });
  const sign = order === "ascending" ? 1 : -1;
  keyed.sort((a, b) => {
    if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
    return sign * compare(a.key, b.key);
  });
  for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  table.tBodies[0].append(...keyed.map((each) => each.row));
}

function addFilter(table) {
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "show rows with …";
  field.setAttribute("aria-label", "show only rows that hold this text");
  field.addEventListener("input", () => {
    const text = field.value.toLowerCase();
    for (const row of table.tBodies[0].rows) {
      row.hidden = !row.textContent.toLowerCase().includes(text);
    }
  });
  table.parentElement.before(field);
}

for (const table of document.querySelectorAll("table")) {
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sort(table, column, head));
  });
  if (table.tBodies[0].rows.length > 12) addFilter(table);
}
