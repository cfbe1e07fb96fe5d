"""Data-parallel gradients by threads, made for a machine that is also used for other work.

The threads inside one torch operator meet at a barrier after every operator; when another process takes a core, all
of them wait for the slowest, thousands of times a step. Here each Python thread runs whole micro-batches with
single-threaded operators (which release the interpreter lock) and takes the next one when it is free, so there is one
meeting point a step and a slow core simply does fewer micro-batches.
"""

import copy
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock

import torch
from torch import nn

# (replica, micro-batch index) -> summed loss of that micro-batch, gradients left in the replica.
Work = Callable[[nn.Module, int], float]


class GradientWorkers:
    """`n_workers` threads, each with a replica that shares the weights of `model` and has gradients of its own."""

    def __init__(self, model: nn.Module, n_workers: int) -> None:
        self.model = model
        self.replicas: list[nn.Module] = [model]
        self.pool: ThreadPoolExecutor | None = None
        self.resize(n_workers)

    def resize(self, n_workers: int) -> None:
        """Use another number of threads from the next step on."""
        while len(self.replicas) < n_workers:
            replica = copy.deepcopy(self.model)
            for own, shared in zip(replica.parameters(), self.model.parameters(), strict=True):
                own.data = shared.data
                own.grad = None
            self.replicas.append(replica)
        del self.replicas[n_workers:]
        if self.pool is not None:
            self.pool.shutdown()
        self.pool = ThreadPoolExecutor(n_workers, initializer=torch.set_num_threads, initargs=(1,))

    def accumulate(self, n_micro_batches: int, work: Work) -> float:
        """Run `work` for every micro-batch; gradients are summed into `model`. Returns the summed loss."""
        pending, lock = iter(range(n_micro_batches)), Lock()

        def take() -> Iterator[int]:
            while True:
                with lock:
                    index = next(pending, None)
                if index is None:
                    return
                yield index

        def run(replica: nn.Module) -> float:
            return sum(work(replica, index) for index in take())

        total = sum(self.pool.map(run, self.replicas))
        self._reduce()
        return total

    @torch.no_grad()
    def _reduce(self) -> None:
        for replica in self.replicas[1:]:
            own = [p for p in replica.parameters() if p.grad is not None]
            if not own:
                continue
            for target, source in zip(self.model.parameters(), replica.parameters(), strict=True):
                if target.grad is None:
                    target.grad = source.grad
                else:
                    target.grad.add_(source.grad)
                source.grad = None
