"""The tables that grow with sweeps and boxes, of which only the rows of wanted scenes are decoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenes.large_tables.row_places import RowPlaces, table_of
from scenes.large_tables.scene_store import SceneStore
from scenes.table_rows import RowT, Table, decode_table, read_rows, read_table


@dataclass(frozen=True)
class LargeTables:
    """The rows of some scenes.

    Attributes:
        folder: the tables' folder.
        places: where rows lie; None reads tables as a whole.
        scenes: the tokens of the scenes.
    """

    folder: Path
    places: RowPlaces | None
    scenes: Sequence[str]

    @classmethod
    def of(cls, dataroot: Path, version: str, scenes: Sequence[str]) -> LargeTables:
        """Those of a data root; of tables that are not large everything is read."""
        store = SceneStore.of(dataroot, version)
        return cls(dataroot / version, None if store is None else store.row_places(), scenes)

    def table(self, kinds: Sequence[str], row: type[RowT], keep: Callable[[RowT], bool]) -> Table[RowT]:
        """The rows that are to be kept, out of those of the scenes.

        Args:
            kinds: of rows of one table, such as `KEY_FRAMES`; see `scenes.large_tables.row_places`.
            row: their type.
            keep: which to keep; of rows of other kinds or scenes it may be asked, too.
        """
        path = self.folder / f"{table_of(kinds[0])}.json"
        places = self.places
        if places is None:
            return read_table(path, row, keep)
        content = read_rows(path, lambda: places.read(self.folder, kinds, self.scenes))
        return decode_table(path, content, row, keep)
