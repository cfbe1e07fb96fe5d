"""Golden values of the keyed noise, computed with plain Python integers and the C library.

Shares no code with the harness: the bit layout is restated here from its documentation.
Known answers of Random123 are checked before anything is written.

    python scripts/golden/noise.py --output harness/tests/data/noise.json
"""

import argparse
import json
import math
import platform
import struct
import sys
from pathlib import Path

PURPOSES = {
    "initial": 1,
    "label": 2,
    "perturb": 3,
    "dropout": 4,
    "ancestral": 5,
    "subset": 6,
    "guidance": 7,
}
WORD = 2**32

KNOWN_ANSWERS = [
    (
        (0, 0, 0, 0),
        (0, 0),
        (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    ),
    (
        (WORD - 1, WORD - 1, WORD - 1, WORD - 1),
        (WORD - 1, WORD - 1),
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]

CASES = [
    # seed, purpose, sample, step, draw, offset
    (0, "initial", 0, 0, 0, 0),
    (0, "initial", 1, 0, 0, 1000),
    (42, "perturb", 59_999, 45, 4, 0),
    (42, "perturb", 59_999, 46, 4, 3),
    (2**64 - 1, "dropout", 2**33 + 5, 49, 1, 2),
    (123_456_789_012_345, "ancestral", 7, 12, 0, 0),
    (7, "subset", 0, 0, 199, 0),
    (1, "label", 2**48 + 9, 2**16 + 3, 2**31, 0),
    (5, "guidance", 3, 1, 0, 4 * 2**24 + 1),
]


def philox(counter: tuple[int, ...], key: tuple[int, ...]) -> tuple[int, ...]:
    """Philox4x32 with ten rounds."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0 = 0xD2511F53 * c0
        p1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (p1 // WORD) ^ c1 ^ k0,
            p1 % WORD,
            (p0 // WORD) ^ c3 ^ k1,
            p0 % WORD,
        )
        k0 = (k0 + 0x9E3779B9) % WORD
        k1 = (k1 + 0xBB67AE85) % WORD
    return c0, c1, c2, c3


def words(case: tuple, block: int) -> tuple[int, ...]:
    """The four words of one block of a key."""
    seed, purpose, sample, step, draw, _ = case
    counter = (
        PURPOSES[purpose] * 2**24 + block % 2**24,
        draw,
        sample % WORD,
        (step % 2**16) * 2**16 + (sample // WORD) % 2**16,
    )
    key = (
        (seed % WORD) ^ (step // 2**16 * 2**16) ^ (sample // 2**48),
        (seed // WORD) ^ (block // 2**24 % WORD),
    )
    return philox(counter, key)


def normal(case: tuple, element: int) -> int:
    """Bits of the f32 at one element of the tensor."""
    w = words(case, element // 4)
    pair = w[:2] if element % 4 < 2 else w[2:]
    radius = math.sqrt(-2.0 * math.log((pair[0] + 1) / WORD))
    angle = 2.0 * math.pi * (pair[1] / WORD)
    value = radius * (math.cos(angle) if element % 2 == 0 else math.sin(angle))
    return struct.unpack("<I", struct.pack("<f", value))[0]


def below(case: tuple, n: int) -> int:
    """The integer draw."""
    w = words(case, 0)
    return (w[1] * WORD + w[0]) * n // 2**64


def mask(case: tuple, keep: float, length: int) -> list[int]:
    """The dropout mask."""
    threshold = round(struct.unpack("<f", struct.pack("<f", keep))[0] * 65536)
    halves: list[int] = []
    for block in range(-(-length // 8)):
        for word in words(case, block):
            halves += [word % 2**16, word // 2**16]
    return [int(h < threshold) for h in halves[:length]]


def main() -> int:
    """Checks the known answers, then writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    output = parser.parse_args().output
    for counter, key, expected in KNOWN_ANSWERS:
        if philox(counter, key) != expected:
            print(f"philox({counter}, {key}) is not {expected}", file=sys.stderr)
            return 1
    cases = [
        {
            "seed": str(case[0]),
            "purpose": case[1],
            "sample": str(case[2]),
            "step": str(case[3]),
            "draw": str(case[4]),
            "offset": str(case[5]),
            "normal_bits": [normal(case, case[5] + i) for i in range(11)],
            "below_1000": below(case, 1000),
            "mask_keep_0_9": mask(case, 0.9, 37),
        }
        for case in CASES
    ]
    document = {
        "tool": "scripts/golden/noise.py",
        "python": platform.python_version(),
        "tolerance": "exact",
        "cases": cases,
    }
    output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
