"""Images one after another in a shuffled order that reads the disk in runs: for data larger than memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch.utils.data import IterableDataset, get_worker_info

from odin_graph.errors import DataError
from odin_graph.runtime.training.epochs import Epochs
from odin_graph.runtime.training.torch_dataset import Item, PixelDataset


class PixelStream(IterableDataset[Item]):
    """Each image once an epoch, for a `DataLoader` of your own: its workers share the images out among themselves.

    Which images a worker gives depends on their number, and so does the order; that every image comes once does not.
    ``query.loader(stream=True)`` gives the same batches for any number of workers, and goes on after a crash.

    Args:
        dataset: The images.
        epochs: Their order; a batch of it is what is read at once.
    """

    def __init__(self, dataset: PixelDataset, epochs: Epochs) -> None:
        self.dataset, self.epochs = dataset, epochs
        self._epoch, self._given, self._begin = 0, 0, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration gives: call it before each, or every epoch is the first."""
        self._epoch, self._given, self._begin = epoch, 0, 0

    def __len__(self) -> int:
        """The number of images."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Item]:
        """The images of an epoch, or this worker's share of them."""
        worker = get_worker_info()
        lanes, lane = (worker.num_workers, worker.id) if worker is not None else (1, 0)
        plan = self.epochs.batches(self._epoch)
        share = -(-len(plan) // lanes)
        begin, self._begin = self._begin, 0
        self._given = 0
        for positions, _ in plan[lane * share : (lane + 1) * share]:
            skipped = min(len(positions), max(0, begin - self._given))
            self._given += skipped
            if skipped == len(positions):
                continue
            for item in self.dataset.items(positions[skipped:], epoch=self._epoch):
                self._given += 1
                yield item

    def state_dict(self) -> dict[str, int]:
        """Where this process is in its share: what `torchdata.StatefulDataLoader` asks every worker for."""
        return {"epoch": self._epoch, "given": self._given}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after so many images of an epoch.

        Raises:
            DataError: It is no such state.
        """
        if set(state) != {"epoch", "given"}:
            raise DataError(f"{dict(state)!r:.80} is not a state of a stream: keep what state_dict() gives.")
        self._epoch, self._begin = int(state["epoch"]), int(state["given"])
        self._given = self._begin
