"""What a run says of itself: lines of log.csv, and the metadata of the weights, of which scripts/export makes the card."""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from epsilon_error import TIMESTEPS

LOG_FIELDS = ["images", "seconds", "images_per_second", "loss", "learning_rate", "epsilon_mse", "half_life"]


def append(path: Path, rows: Iterable[dict[str, object]]) -> None:
    """Add lines to a log; what a row does not have stays empty."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, LOG_FIELDS, restval="")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def of_weights(
    images: int, seconds: float, half_life: int, epsilon_mse: list[float], stages: list[dict], where: dict[str, str]
) -> dict[str, str]:
    """Metadata of one average: how much it has seen, its errors at each timestep, and by which recipes it was made.

    `where` has the words of the card for the machine (`trained_on`) and for the images of the errors (`measured_on`).
    """
    errors = zip(TIMESTEPS, epsilon_mse, strict=True)
    return {
        "images_seen": str(images),
        "train_seconds": str(round(seconds)),
        "half_life": str(half_life),
        "epsilon_mse": json.dumps({str(t): round(error, 6) for t, error in errors}),
        "recipe": json.dumps(stages),
        **where,
    }
