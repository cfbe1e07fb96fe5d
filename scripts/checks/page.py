"""Opens results/summary.html in a headless browser and asserts what it shows: every claim with its verdict, tables that
sort by their numbers, a filter by verdict, plots that load, and maps that appear over their images. Then the page of a
result that is made for the check, on the model with a closed form, which has such pairs whatever is committed.

usage: scripts/setup/python.sh -m checks.page target/debug/dubench [option of `dubench summary`, as --before FOLDER]
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

# All pairs of a page together: it is looked at without a server, and committed.
PAIRS_BYTES = 1_000_000
ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
    *("--disable-background-networking", "--allow-file-access-from-files", "--virtual-time-budget=120000"),
)

N_ATTEMPTS = 3

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
  seen.pairs = Array.from(document.querySelectorAll(".pair")).map((pair) => {
    const image = pair.querySelector(".image"), map = pair.querySelector(".map");
    map.style.transition = "none";
    const before = getComputedStyle(map).opacity;
    pair.focus();
    const places = [image, map].map((one) => [one.offsetLeft, one.offsetTop]);
    return { files: [image, map].map((one) => one.getAttribute("src")), shown: [before, getComputedStyle(map).opacity], places };
  });
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
    """What the browser shows of a page. Its clock runs on while other threads decode pictures, so a busy machine can be
    too late with them: a browser that wrote nothing down is asked again, twice."""
    text = page.read_text(encoding="utf-8")
    base = f'<head>\n<base href="{page.parent.as_uri()}/">'
    probed = text.replace("<head>", base, 1).replace("</body>", PROBE + "</body>", 1)
    for _ in range(N_ATTEMPTS):
        ended = dump_of(program, probed)
        probe = Probe()
        probe.feed(ended.stdout)
        if probe.text:
            return json.loads(probe.text)
        print(f"page: {program} wrote nothing down")
    sys.exit(f"page: {program} ended with {ended.returncode} and shows no page: {ended.stderr[-800:]}")


def dump_of(program: str, text: str) -> subprocess.CompletedProcess[str]:
    """One run of the browser, with a profile of its own."""
    with tempfile.TemporaryDirectory() as folder:
        probed = Path(folder) / "probed.html"
        probed.write_text(text, encoding="utf-8")
        command = [program, *OPTIONS, f"--user-data-dir={folder}/profile", "--dump-dom", probed.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


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
    for pair in seen["pairs"]:
        image, map_file = pair["files"]
        if pair["shown"] != ["0", "1"] or pair["places"][0] != pair["places"][1]:
            found.append(f"{map_file} has opacity {pair['shown']} at {pair['places']}, expected 0 and, in focus, 1 over its image")
        if image.removesuffix("-image.png") != map_file.removesuffix("-map.png"):
            found.append(f"{map_file} lies over {image}")
    return found


def unshown(seen: dict, results: Path, scale: str) -> list[str]:
    """Pairs of files that the page leaves out, and pairs that make it larger than a page may be."""
    maps = sorted(results.glob(f"*/{scale}/plots/*-map.png"))
    pairs = [(image, one) for one in maps if (image := one.with_name(one.name.replace("-map.png", "-image.png"))).is_file()]
    shown = {pair["files"][1] for pair in seen["pairs"]}
    found = [f"{one} is not shown" for _, one in pairs if one.relative_to(results).as_posix() not in shown]
    n_bytes = sum(one.stat().st_size for pair in pairs for one in pair)
    if n_bytes > PAIRS_BYTES:
        found.append(f"pairs of {results} have {n_bytes} bytes together, more than {PAIRS_BYTES}")
    return found


def made_result(program: str, folder: Path) -> dict:
    """A result of the model with a closed form, and its page, in a folder of its own: what `summary` says of it."""
    import numpy as np  # the pinned set-up has it

    (folder / "tiny.yaml").write_text((ROOT / "harness/src/experiment/tiny.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    np.savez(folder / "reference.npz", mu=np.full(12, 0.55), sigma=0.004 * np.eye(12), n=np.int64(1000))
    (folder / "claims.yaml").write_text(
        "paper: a paper\nclaims:\n  - {id: one, group: Pictures, source: none, says: Maps lie over images., obstacle: needs eyes}\n",
        encoding="utf-8",
    )
    run = [program, "run", "tiny.yaml", "--scale", "smoke"]
    subprocess.run(run, cwd=folder, capture_output=True, text=True, check=True)
    call = [program, "summary", "--scale", "smoke", "--claims", "claims.yaml", "--format", "json"]
    return json.loads(subprocess.run(call, cwd=folder, capture_output=True, text=True, check=True).stdout)


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
    call = [str(Path(sys.argv[1]).resolve()), "summary", "results", *sys.argv[2:], "--check", "--format", "json"]
    said = json.loads(subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    seen = seen_by(program, ROOT / "results/summary.html")
    found = faults(seen, said) + unshown(seen, ROOT / "results", "mini")
    planted = json.loads(json.dumps(seen))
    planted["rows"][0]["cells"][4] = "+9.99 ± 0.01"
    planted["sorted"][0]["up"].reverse()
    planted["pictures"][0]["width"] = 0
    if len(faults(planted, said)) < len(faults(seen, said)) + 3:
        found.append("a wrong number, a wrong order or a missing plot would not have been found")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = made_result(call[0], folder)
        shown = seen_by(program, folder / "results/summary-smoke.html")
        found += faults(shown, made) + unshown(shown, folder / "results", "smoke")
        planted = json.loads(json.dumps(shown))
        if len(planted["pairs"]) < 6:
            found.append(f"a result with maps shows {len(planted['pairs'])} pairs")
        else:
            planted["pairs"][0]["shown"] = ["1", "1"]
            planted["pairs"].pop()
            if len(faults(planted, made)) != 1 or len(unshown(planted, folder / "results", "smoke")) != 1:
                found.append("a map that always hides its image, or a pair that is missing, would not have been found")
    if found:
        sys.exit("\n".join([*found, f"page: {len(found)} faults of results/summary.html in {program}"]))
    print(
        f"page: {program} shows {len(seen['rows'])} claims, {len(seen['pictures'])} pictures and {len(seen['pairs'])} pairs, of a made "
        f"result {len(shown['pairs'])}; tables sort, verdicts filter, maps lie over their images"
    )


if __name__ == "__main__":
    main()
