"""The defects that two other harnesses keep as their own measure, as rows of the one catalogue."""

from __future__ import annotations

from tests.killing.plants import PLANTS
from tests.planted.run import Planted
from tests.simulation import planted as simulated


def _file(where: str) -> str:
    """The file in which the simulation plants: `module:function`, `sql:file.statement`, `index:name`."""
    kind, _, name = where.partition(":")
    match kind:
        case "sql":
            return f"naru/store/queries/{name.partition('.')[0]}.sql"
        case "index":
            return "naru/store/migrations/schema.sql"
    return kind.replace(".", "/") + ".py"


ELSEWHERE = (
    *(
        Planted(
            f"simulated: {each.name}",
            ", ".join(each.promises),
            _file(each.where),
            each.old,
            each.new,
            f"seeds {each.name}",
        )
        for each in simulated.CATALOGUE
    ),
    *(
        Planted(
            f"killed: {each.name}",
            each.promise,
            each.file,
            each.healthy,
            each.ill,
            f"storm {each.name}",
        )
        for each in PLANTS
    ),
)
