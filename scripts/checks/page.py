"""Opens results/summary.html in a headless browser and asserts what it shows: every claim with its verdict, tables that
sort by their numbers, a filter by verdict, plots that load, and a map that appears over its image.

usage: scripts/setup/python.sh -m checks.page target/debug/dubench
DUBENCH_BROWSER names a Chromium; else one on PATH is taken. Prints SKIPPED where there is none.
"""

from __future__ import annotations

import html.parser
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--allow-file-access-from-files", "--virtual-time-budget=20000"),
)

# Runs in the page: clicks, and writes down what a reader would see.
PROBE = """
<script>
const seen = { errors: [] };
window.addEventListener("error", (event) => seen.errors.push(String(event.message)));
window.addEventListener("load", async () => {
  seen.rows = Array.from(document.querySelectorAll("tr[data-verdict]")).map((row) => ({
    id: row.id, cells: Array.from(row.cells).map((cell) => cell.textContent.trim()),
  }));
  const column = (table, at) => Array.from(table.tBodies[0].rows).map((row) => row.cells[at].dataset.sort ?? null);
  seen.sorted = Array.from(document.querySelectorAll("table")).map((table) => {
    const at = 4, button = table.tHead.rows[0].cells[at].querySelector("button");
    button.click();
    const up = column(table, at), mark = table.tHead.rows[0].cells[at].getAttribute("aria-sort");
    button.click();
    return { up, down: column(table, at), mark };
  });
  const boxes = Array.from(document.querySelectorAll(".filters input"));
  boxes.slice(1).forEach((box) => box.click());
  const shown = Array.from(document.querySelectorAll("tr[data-verdict]")).filter((row) => row.offsetParent !== null);
  seen.filtered = { verdict: boxes[0].value, shown: shown.map((row) => row.dataset.verdict) };
  boxes.slice(1).forEach((box) => box.click());
  const picture = document.querySelector(".plots img");
  const pair = document.createElement("figure");
  pair.className = "pair";
  pair.tabIndex = 0;
  pair.innerHTML = `<img class="image" src="${picture.src}"><img class="map" src="${picture.src}">`;
  document.querySelector(".plots").append(pair);
  const map = pair.querySelector(".map");
  map.style.transition = "none";
  seen.map = [getComputedStyle(map).opacity];
  pair.focus();
  seen.map.push(getComputedStyle(map).opacity);
  pair.remove();
  const pictures = Array.from(document.images);
  pictures.forEach((one) => { one.loading = "eager"; });
  await Promise.all(pictures.map((one) => one.decode().catch(() => null)));
  seen.pictures = pictures.map((one) => ({ src: one.getAttribute("src"), alt: one.alt, width: one.naturalWidth }));
  seen.width = [document.documentElement.scrollWidth, window.innerWidth];
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify(seen);
  document.body.append(out);
});
</script>
"""


class Probe(html.parser.HTMLParser):
    """The text of the element that the probe has appended."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.text = False, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = self.inside or (tag == "pre" and ("id", "probe") in attrs)

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside and tag != "pre"

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text += data


def browser() -> str | None:
    """A Chromium, or None."""
    named = os.environ.get("DUBENCH_BROWSER")
    if named and not shutil.which(named):
        sys.exit(f"page: DUBENCH_BROWSER={named}: no such program")
    return named or next((name for name in BROWSERS if shutil.which(name)), None)


def seen_by(program: str, page: Path) -> dict:
    """What the browser shows of a page."""
    text = page.read_text(encoding="utf-8")
    base = f'<head>\n<base href="{page.parent.as_uri()}/">'
    with tempfile.TemporaryDirectory() as folder:
        probed = Path(folder) / "probed.html"
        probed.write_text(text.replace("<head>", base, 1).replace("</body>", PROBE + "</body>", 1), encoding="utf-8")
        command = [program, *OPTIONS, f"--user-data-dir={folder}/profile", "--dump-dom", probed.as_uri()]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    probe = Probe()
    probe.feed(ended.stdout)
    if not probe.text:
        sys.exit(f"page: {program} ended with {ended.returncode} and shows no page: {ended.stderr[-800:]}")
    return json.loads(probe.text)


def faults(seen: dict, said: dict) -> list[str]:
    """What a reader does not see as the results say."""
    found = [f"an error of its script: {error}" for error in seen["errors"]]
    claims = said["claims"]
    if len(seen["rows"]) != len(claims):
        found.append(f"{len(seen['rows'])} rows for {len(claims)} claims")
    for row, claim in zip(seen["rows"], claims):
        cells = row["cells"]
        verdict = claim["verdict"].replace("_", " ") + (" here" if claim["verdict"] == "not_testable" else "")
        if cells[1] != claim["claim"].replace("`", "") or cells[7] != verdict:
            found.append(f"{row['id']}: shows {cells[1]!r}, {cells[7]!r}, expected {claim['claim']!r}, {verdict!r}")
        has_number = claim["value"] is not None
        if has_number != bool(cells[4]) or (has_number and not close(cells[4], claim["value"])):
            found.append(f"{row['id']}: shows {cells[4]!r} for {claim['value']}")
        if claim["n"] is not None and cells[5].replace(",", "") != str(claim["n"]):
            found.append(f"{row['id']}: shows n = {cells[5]}, expected {claim['n']}")
    for at, table in enumerate(seen["sorted"]):
        for order, sign in (("up", 1), ("down", -1)):
            keys = [None if key is None else sign * float(key) for key in table[order]]
            numbers = [key for key in keys if key is not None]
            if numbers != sorted(numbers) or keys[: len(numbers)] != numbers:
                found.append(f"table {at}: sorted {order} it shows {table[order]}")
        if table["mark"] != "ascending":
            found.append(f"table {at}: the sorted column is marked {table['mark']}")
    verdict, shown = seen["filtered"]["verdict"], seen["filtered"]["shown"]
    expected = sum(row["cells"][7] == verdict for row in seen["rows"])
    if set(shown) != {verdict} or len(shown) != expected:
        found.append(f"the filter {verdict!r} shows {shown}, expected {expected} of it")
    found += [f"{one['src']} does not load" for one in seen["pictures"] if not one["width"]]
    found += [f"{one['src']} has no text for who cannot see it" for one in seen["pictures"] if not one["alt"]]
    if not seen["pictures"]:
        found.append("no plot is shown")
    if seen["map"] != ["0", "1"]:
        found.append(f"the map of a pair has opacity {seen['map']}, expected 0 and, in focus, 1")
    return found


def close(shown: str, value: float) -> bool:
    """Whether the number in front of `±` is the value, to the digits that are shown."""
    text = shown.split(" ± ")[0].replace("−", "-").replace(",", "").replace("+", "")
    decimals = len(text.partition(".")[2])
    return abs(float(text) - value) <= 0.5000001 * 10**-decimals


def main() -> None:
    program = browser()
    if program is None:
        print(f"SKIPPED the page of verdicts in a browser: none of {', '.join(BROWSERS)} is on PATH")
        return
    call = [str(Path(sys.argv[1]).resolve()), "summary", "results", "--check", "--format", "json"]
    said = json.loads(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    seen = seen_by(program, ROOT / "results/summary.html")
    found = faults(seen, said)
    planted = json.loads(json.dumps(seen))
    planted["rows"][0]["cells"][4] = "+9.99 ± 0.01"
    planted["sorted"][0]["up"].reverse()
    planted["pictures"][0]["width"] = 0
    if len(faults(planted, said)) < len(found) + 3:
        found.append("a wrong number, a wrong order or a missing plot would not have been found")
    if found:
        sys.exit("\n".join([*found, f"page: {len(found)} faults of results/summary.html in {program}"]))
    print(f"page: {program} shows {len(seen['rows'])} claims and {len(seen['pictures'])} plots; tables sort, verdicts filter")


if __name__ == "__main__":
    main()
