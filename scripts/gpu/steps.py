"""Steps that say how long they will take before they begin, and leave a note of how long they took and what they found."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pieces import publish


class Steps:
    """The steps of one command. A step that fails is noted, and those that do not need it go on."""

    def __init__(self, out: Path, seconds: float) -> None:
        self.out, self.seconds, self.began, self.notes = out, seconds, time.monotonic(), []
        out.mkdir(parents=True, exist_ok=True)

    def left(self) -> float:
        """Seconds that are left of the whole."""
        return self.seconds - (time.monotonic() - self.began)

    def run(self, name: str, expected: float, work: Callable[[], Any]) -> Any:
        """Runs one step, unless it would not end in time; what it answers, or None where it failed."""
        if expected > self.left():
            self._note({"step": name, "ok": False, "skipped": f"{expected:.0f} s expected, {self.left():.0f} s left"})
            return None
        print(f"== {name}: about {expected:.0f} s, {self.left():.0f} s left", flush=True)
        begin = time.monotonic()
        try:
            answer, error = work(), None
        except (Exception, SystemExit) as failure:
            answer, error = None, f"{type(failure).__name__}: {failure}"
            traceback.print_exc()
        took = time.monotonic() - begin
        note = {"step": name, "ok": error is None, "expected_seconds": expected, "seconds": round(took, 2)}
        self._note({**note, "error": error} if error else {**note, "found": answer})
        return answer

    def _note(self, note: dict[str, Any]) -> None:
        self.notes.append(note)
        print(json.dumps(note, default=str), flush=True)
        publish(self.out / "steps.json", (json.dumps(self.notes, indent=1, default=str) + "\n").encode())

    def all_ok(self) -> bool:
        """Whether no step failed or was left out."""
        return all(note["ok"] for note in self.notes)
