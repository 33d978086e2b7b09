"""A store that writes down what it is asked for."""

from collections.abc import Iterator

from klio_dagster.store.objects import ObjectInfo
from klio_dagster.store.store import Store


class Counting(Store):
    """Writes down which objects are asked for."""

    asked: list[str]

    @classmethod
    def at(cls, store: Store) -> "Counting":
        counting = cls(store._location)
        counting.asked = []
        return counting

    def get(self, path: str) -> bytes:
        self.asked.append(path)
        return super().get(path)

    def get_or_none(self, path: str) -> bytes | None:
        self.asked.append(path)
        return super().get_or_none(path)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        self.asked.append(prefix)
        return super().list(prefix)
