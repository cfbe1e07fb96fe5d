"""Circles between things that use each other: strongly connected components (Tarjan, SIAM J. Comput. 1, 1972)."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

Thing = TypeVar("Thing", bound=Hashable)


def circles(uses: Mapping[Thing, Sequence[Thing]]) -> list[list[Thing]]:
    """Every largest set of more than one thing in which each uses each other, directly or over others of the set."""
    index: dict[Thing, int] = {}
    low: dict[Thing, int] = {}
    path: list[Thing] = []
    on_path: set[Thing] = set()
    found: list[list[Thing]] = []

    def close(thing: Thing) -> None:
        component = []
        while not component or component[-1] != thing:
            component.append(path.pop())
            on_path.discard(component[-1])
        if len(component) > 1:
            found.append(component[::-1])

    for start in uses:
        work = [(start, iter(uses.get(start, ())))] if start not in index else []
        while work:
            thing, rest = work[-1]
            if thing not in index:
                index[thing] = low[thing] = len(index)
                path.append(thing)
                on_path.add(thing)
            for other in rest:
                if other not in index:
                    work.append((other, iter(uses.get(other, ()))))
                    break
                if other in on_path:
                    low[thing] = min(low[thing], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[thing])
                if low[thing] == index[thing]:
                    close(thing)
    return found
