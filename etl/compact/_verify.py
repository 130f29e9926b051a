"""No row lost, none doubled, each in its day: checked on what was written, before anybody may see it."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from etl.errors import RowsNotConserved, first_line
from etl.lake import Lake, Plan, Winner, raw_key, raw_name
from etl.lake._layout import day_of, staged_key
from etl.schema import COMPACTED_SCHEMA


def verify(lake: Lake, plan: Plan, winner: Winner) -> None:
    """Hold an attempt's files against its plan. Raises `RowsNotConserved`."""
    dropped = frozenset(winner.left_out)
    _check_logs(lake, plan, winner, dropped)
    rows_in = sum(item.rows for item in (*plan.inputs, *winner.inputs) if item.key not in dropped)
    rows_out = 0
    place = COMPACTED_SCHEMA.get_field_index("request_time")
    for output in winner.outputs:
        staged = staged_key(plan.batch, winner.attempt, output.key)
        try:
            metadata = pq.read_metadata(lake.store.path(staged), filesystem=lake.store.filesystem)
        except (pa.ArrowInvalid, OSError) as error:
            raise RowsNotConserved(staged, f"cannot be read: {first_line(error)}") from error
        if metadata.num_rows != output.rows or not metadata.schema.to_arrow_schema().equals(COMPACTED_SCHEMA):
            raise RowsNotConserved(staged, "is not what was written")
        rows_out += metadata.num_rows
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(place).statistics
            is_known = statistics is not None and statistics.has_min_max
            # Not by `strftime`, which writes the year 500 as the system's library likes.
            days = {moment.date().isoformat() for moment in (statistics.min, statistics.max)} if is_known else set()
            if days != {day_of(output.key)}:
                raise RowsNotConserved(staged, "holds rows of another day")
    if rows_in != rows_out + winner.duplicates:
        raise RowsNotConserved(
            f"batch {plan.batch}", f"{rows_in} rows in, {rows_out} out and {winner.duplicates} folded"
        )


def _check_logs(lake: Lake, plan: Plan, winner: Winner, dropped: frozenset[str]) -> None:
    """Each log object of the plan was read, and its lines add up, or it was left out.

    All of them may be: such a batch is empty, and they come again. A plan that nobody could carry out would hold up the lake.
    """
    wanted = {
        raw_key(raw_name(log.source_key, log.version), plan.ingest_date)
        for log in plan.logs
        if log.source_key not in dropped
    }
    found = [item.key for item in winner.inputs]
    if sorted(found) != sorted(wanted):
        odd = min({*wanted, *found} - (wanted & set(found)), default="a log object")
        raise RowsNotConserved(f"batch {plan.batch}", f"{odd} was not read exactly once")
    for item in winner.inputs:
        if item.lines != item.rows + item.quarantined:
            raise RowsNotConserved(
                item.key, f"{item.lines} lines, {item.rows} rows and {item.quarantined} that are none"
            )
