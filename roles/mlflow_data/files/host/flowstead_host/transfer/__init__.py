"""MLflow's rows, carried from a database of any engine to one of any other. Managed by Ansible.

Both have the same schema, which the release's migrations made. The source is read as it is at one moment,
table by table, in batches; ids stay as they are. What is read is counted and summed up on the way, and then
compared with what the target has: sums of hashes of rows, in a form that is the same for all engines.

Run with the release's own Python, which has SQLAlchemy and the drivers.
"""

from __future__ import annotations

import sqlalchemy as sa

from flowstead_host.errors import ChangeError
from flowstead_host.settings import CHECKS
from flowstead_host.transfer.counts import Copied
from flowstead_host.transfer.databases import opened
from flowstead_host.transfer.pair import NAMED, Pair

# Of what users make, these tables tell.
LOGGED = ("runs", "registered_models", "logged_models", "trace_info")


def copy(source_url: str, target_url: str, *, has_more: bool = False) -> Copied:
    """Carry all rows, in place of those that the target has, and compare what is there then.

    Args:
        source_url: SQLAlchemy's address of the database to read; nothing is written there.
        target_url: that of a database with the same schema. Should this be interrupted, begin anew.
        has_more: whether the source may have other tables, too, which are left alone.

    Returns:
        What was carried.

    Raises:
        ChangeError: the schemas differ, a value has no place in the target, or the two are not equal.

    """
    with opened(source_url, reads=True) as source, opened(target_url) as target:
        pair = Pair(source, target, has_more=has_more)
        pair.empty()
        copied = Copied()
        for name in pair.order:
            copied.tables[name], size = pair.carry(name)
            copied.size += size
        pair.count_on()
        target.commit()
        if target.dialect.name == "postgresql":
            # Without it, questions are slow until the server itself gets to it.
            target.execute(sa.text("ANALYZE"))
            target.commit()
        differ(copied, pair.count(target, pair.targets))
        return copied


def compare(source_url: str, target_url: str) -> Copied:
    """Compare all rows of two databases.

    Raises:
        ChangeError: they differ; it says where.

    """
    with opened(source_url, reads=True) as source, opened(target_url, reads=True) as target:
        pair = Pair(source, target)
        found = pair.count(source, pair.sources)
        differ(found, pair.count(target, pair.targets))
        return found


def logged(url: str) -> dict[str, int]:
    """Return of what users make how much there is, by table; what changes try does not count.

    Args:
        url: SQLAlchemy's address of the database of runs and models.

    """
    with opened(url, reads=True) as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection, only=["experiments", *LOGGED])
        experiments = metadata.tables["experiments"]
        checks = sa.select(experiments.c.experiment_id).where(experiments.c.name == CHECKS)
        counts = {}
        for name in ("experiments", *LOGGED):
            table = metadata.tables[name]
            query = sa.select(sa.func.count()).select_from(table)
            if "experiment_id" in table.c:
                query = query.where(table.c.experiment_id.not_in(checks))
            counts[name] = connection.execute(query).scalar()
        # MLflow makes one itself.
        counts["experiments"] = max(0, counts["experiments"] - 1)
        return {name: count for name, count in counts.items() if count}


def differ(one: Copied, other: Copied) -> None:
    """Raise ChangeError where they do."""
    wrong = [
        f"{name} ({tally}; then {other.tables[name]})"
        for name, tally in one.tables.items()
        if tally != other.tables[name]
    ]
    if wrong:
        raise ChangeError(f"what is there is not what was read: {'; '.join(wrong[:NAMED])}")
