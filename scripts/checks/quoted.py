"""Numbers of pages, from the published `metrics.parquet`: every quoted result stands behind a marker with its name.

    <!--n score.delta-->+1.98      docs/quoted-numbers.txt says which number that is and how it is written
    <!--given: why-->−0.94         a number that no table of ours holds
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = "docs/quoted-numbers.txt"
PAGES = ["README.md", "docs/findings.md", "results/README.md"]
SIDES = ("lowest", "highest", "as_is", "inverted")

_NUMBER = r"(?:p [=<≤>] |[<≤>] )?[+−]?\d+(?:,\d{3})*(?:\.\d+)?(?: ± \d+(?:,\d{3})*(?:\.\d+)?)?"
_MARKED = re.compile(rf"<!--n ([^\s>]+)-->({_NUMBER}|\?)")
_GIVEN = re.compile(rf"<!--given: [^>]+?-->{_NUMBER}")
# Looks like a result: an error bar, or a number with its sign.
_BARE = re.compile(r"(?<![\w.])[+−]\d[\d.,]*|\d[\d.,]* ± [\d.]+")


class NumberError(Exception):
    """A marker that names no number."""


@cache
def table(folder: Path) -> list[dict]:
    import pyarrow.parquet

    path = folder / "metrics.parquet"
    if not path.is_file():
        raise NumberError(f"{path} does not exist: name a folder of results/, -cifar10 may be left out")
    return pyarrow.parquet.read_table(path).to_pylist()


def names_of(text: str) -> dict[str, str]:
    """Name to what it names."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name.strip(): words.strip() for name, _, words in (line.partition(":") for line in lines)}


def row_of(said: str, results: Path) -> tuple[dict, str]:
    """The row that a line of the list says, and how it is shown."""
    words = said.split()
    if len(words) < 3:
        raise NumberError(f"{NAMES} says nothing of it: NAME: RESULT METHOD METRIC ...")
    wanted, show = {"method": words[1], "metric": words[2]}, "±"
    for word in words[3:]:
        key, equals, value = word.partition("=")
        if word in SIDES:
            wanted["side"] = word
        elif key == "show" and equals:
            show = value
        elif key in ("arm", "sampler", "argument", "side") and equals:
            wanted[key] = None if value == "-" else value.replace("+", " ")
        else:
            raise NumberError(f"{word}: expected a side, arm=, sampler=, argument=, side= or show=")
    rows = table(results / (words[0] if "-" in words[0] else f"{words[0]}-cifar10") / "mini")
    found = [row for row in rows if all(row[key] == value for key, value in wanted.items())]
    if len(found) != 1:
        told = {key for row in found for key in ("arm", "sampler", "argument", "side") if row[key] != found[0][key]}
        hint = f"they differ in {', '.join(sorted(told))}" if found else "look them up with dubench collect"
        raise NumberError(f"{len(found)} rows, expected 1; {hint}")
    return found[0], show


def place(error: float) -> int:
    """Decimals at which an error has two significant digits."""
    decimals = lambda value: min(max(1 - math.floor(math.log10(value)), 0), 8)
    first = decimals(error)
    return decimals(round(error, first))


def fixed(value: float, decimals: int, signed: bool = False) -> str:
    text = f"{abs(value):,.{decimals}f}"
    negative = value < 0 and any(digit in text for digit in "123456789")
    return ("−" if negative else "+" if signed else "") + text


def subsets(row: dict) -> int:
    found = re.search(r"(\d+) random subsets", row["reason"] or "")
    if not found:
        raise NumberError("its reason names no number of random subsets")
    return int(found[1])


def p_value(row: dict) -> str:
    """As tables print it, `≤` where the row says by a lower end of 0 that p, raw or adjusted, stands at its floor."""
    p = row["value"]
    floor = "≤ " if row["ci_low"] == 0 else ""
    if p < 0.001:
        return "< 0.001"
    if p > 0.99:
        return "> 0.99"
    return floor + fixed(p, 2 if p >= 0.0995 else 3 if p >= 0.00095 else 4)


def text_of(row: dict, show: str) -> str:
    """A row as it is written."""
    value, se = row["value"], row["se"]
    if value is None:
        raise NumberError(f"it has no value: {row['reason']}")
    if show == "n":
        return f"{row['n']:,}"
    if show == "subsets":
        return str(subsets(row))
    if show in ("p", "pe"):
        text = p_value(row)
        return text if show == "p" else f"p {text}" if text[0] in "<≤>" else f"p = {text}"
    if re.fullmatch(r"r\d", show):
        return fixed(value, int(show[1]))
    if show not in ("±", "+±", "v", "+v", "se"):
        raise NumberError(f"show={show}: expected ±, +±, v, +v, se, rN, p, pe, n or subsets")
    if not se:
        raise NumberError("it has no standard error: say show=rN")
    decimals = place(se)
    error = fixed(se, decimals)
    if show == "se":
        return error
    value = fixed(value, decimals, show.startswith("+"))
    return f"{value} ± {error}" if show.endswith("±") else value


def filled(text: str, name: str, names: dict[str, str], results: Path) -> tuple[str, list[str]]:
    """A page with its numbers, and what is wrong with it."""
    faults: list[str] = []

    def line(at: int) -> str:
        return f"{name}:{text.count(chr(10), 0, at) + 1}"

    def number(match: re.Match[str]) -> str:
        try:
            new = text_of(*row_of(names.get(match[1], ""), results))
        except NumberError as error:
            faults.append(f"{line(match.start())}: {match[1]}: {error}")
            return match[0]
        if new != match[2]:
            faults.append(f"{line(match.start())}: {match[1]}: {match[2]} stands there, the table says {new}")
        return f"<!--n {match[1]}-->{new}"

    out = _MARKED.sub(number, text)
    blank = lambda match: " " * len(match[0])
    rest = re.sub(r"`[^`\n]*`", blank, _GIVEN.sub(blank, _MARKED.sub(blank, text)))
    for match in _BARE.finditer(rest):
        faults.append(f"{line(match.start())}: {match[0]} has no marker in front: <!--n ...-->, or <!--given: why-->")
    for match in re.finditer(r"<!--(?:n |given)[^>]*-->", rest):
        faults.append(f"{line(match.start())}: {match[0]}: no number stands behind it")
    for match in re.finditer(r"^ {0,3}<!--", text, re.MULTILINE):
        faults.append(f"{line(match.start())}: a line that begins with a comment ends the paragraph: put a word in front")
    return out, faults


def self_test(names: dict[str, str], results: Path) -> list[str]:
    """What is not noticed of numbers and markers that were changed."""
    named = names | {"many": "table1 sample_var fid", "none": "table1 nothing fid", "table": "table9 sample_var fid", "word": "table1 sample_var fid lower"}
    name = next(iter(names))
    good, _ = filled(f"It is <!--n {name}-->?, <!--given: elsewhere-->−0.94, see `−1`\n", "page", named, results)
    faults = lambda text: filled(text, "page", named, results)[1]
    missed = [f"a page without fault: {fault}" for fault in faults(good)]
    value = _MARKED.search(good)[2]
    planted = {
        "an altered digit": good.replace(value, value[:-1] + ("1" if value[-1] != "1" else "2")),
        "an altered value": good.replace(value, "1" + value),
        "a number without a marker": good + "it is −0.5 here\n",
        "an error bar without a marker": good + "41.6 ± 1.3\n",
        "a marker without a number": good.replace("−0.94", "much"),
        "a comment that ends a paragraph": good.removeprefix("It is "),
    }
    planted |= {f"a name of {kind}": good.replace(f"n {name}", f"n {kind}") for kind in ("many", "none", "table", "word", "nothing")}
    return missed + [what for what, text in planted.items() if not faults(text)]


def main() -> None:
    parser = argparse.ArgumentParser(description=f"Fills the numbers of {', '.join(PAGES)}.")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where a number differs")
    parser.add_argument("--self-test", action="store_true", help="fail where an altered number is not noticed")
    options = parser.parse_args()
    results, names = ROOT / "results", names_of((ROOT / NAMES).read_text(encoding="utf-8"))
    if options.self_test:
        missed = self_test(names, results)
        sys.exit("not noticed: " + "; ".join(missed) if missed else print("fill-numbers: every planted fault is found"))
    used, left = [], []
    for page in PAGES:
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        new, faults = filled(text, page, names, results)
        if not options.check and new != text:
            path.write_text(new, encoding="utf-8")
            print(f"fill-numbers: {page} is written")
            faults = filled(new, page, names, results)[1]
        used += [name for name, _ in _MARKED.findall(text)]
        left += faults
    left += [f"{NAMES}: {name} stands in no page" for name in names if name not in used]
    if left:
        remedy = "run scripts/fill-numbers, and read the sentences around what changed" if options.check else "mend the markers"
        sys.exit("\n".join([*left, f"fill-numbers: {len(left)} do not hold: {remedy}"]))
    print(f"fill-numbers: {len(used)} numbers of {len(PAGES)} pages are those of the tables")


if __name__ == "__main__":
    main()
