"""Write the face that every SVG plot carries: the glyphs of DejaVu Sans that plots need, unhinted, as WOFF 1.0.

    pip install fonttools==4.68.0
    python scripts/golden/plot_font.py harness/assets/DejaVuSans.ttf harness/assets/DejaVuSans-plots.woff

A character that is not in it is drawn by the viewer's own font. Advances and outlines are those of the full font, which
measures the plots; tests of report::plot::font compare them.
"""

import argparse
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

ASCII = "".join(map(chr, range(0x20, 0x7F)))
SIGNS = "°±²³µ·×é\u0302–—‘’“”…→−∞≤≥"
GREEK = "ΔΣαβγδεηθλμπρστφ"
DIGITS_BELOW = "".join(map(chr, range(0x2080, 0x208A)))
DROPPED = ("FFTM", "GDEF", "GPOS", "GSUB", "kern")


def smaller(font: TTFont) -> TTFont:
    """`font` with the glyphs of plots only."""
    options = subset.Options(
        hinting=False, layout_features=[], name_IDs=[0], notdef_outline=True, recalc_timestamp=False
    )
    options.drop_tables += DROPPED
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=ASCII + SIGNS + GREEK + DIGITS_BELOW)
    subsetter.subset(font)
    font.flavor = "woff"
    return font


def main() -> None:
    """Read one font, write the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("font", type=Path, help="the full font")
    parser.add_argument("output", type=Path, help="the WOFF file")
    options = parser.parse_args()
    smaller(TTFont(options.font, recalcTimestamp=False)).save(options.output)


if __name__ == "__main__":
    main()
