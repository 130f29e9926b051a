"""The printed DDL of Athena as Trino's: the same table, said in the hive connector's properties."""

from __future__ import annotations

import sqlglot
from sqlglot import exp

_TYPES = {
    "STRING": "varchar",
    "INT": "integer",
    "BIGINT": "bigint",
    "TIMESTAMP": "timestamp(3)",
    "BINARY": "varbinary",
}


def trino_table(athena_sql: str) -> str:
    """`CREATE TABLE` for Trino; a property that it does not know stays behind, and so do the comments."""
    created = sqlglot.parse_one(athena_sql, read="athena")
    table, location = created.find(exp.Table), created.find(exp.LocationProperty)
    partition = created.find(exp.PartitionedByProperty)
    assert table is not None
    assert location is not None
    assert partition is not None
    (key,) = (column.name for column in partition.find_all(exp.ColumnDef))
    properties = {
        each.name: each.args["value"].name for each in created.find_all(exp.Property) if type(each) is exp.Property
    }
    columns = {column.name: _TYPES[column.args["kind"].sql("hive")] for column in created.find_all(exp.ColumnDef)}
    columns.pop(key)
    projection = []
    for name, value in properties.items():
        if name.startswith(f"projection.{key}."):
            setting = name.removeprefix(f"projection.{key}.").replace(".", "_")
            projection.append(f"partition_projection_{setting} = {_setting(setting, value)}")
    # Trino puts a slash of its own between this and the partition; two would name another prefix of the bucket.
    folder = location.this.name.rstrip("/")
    lines = [f"  {name} {kind}" for name, kind in columns.items()]
    lines.append(f"  {key} varchar WITH ({', '.join(projection)})")
    return (
        f'CREATE TABLE "{table.db}"."{table.name}" (\n' + ",\n".join(lines) + "\n) WITH (\n"
        f"  format = 'PARQUET', external_location = '{folder}', partitioned_by = ARRAY['{key}'],\n"
        f"  partition_projection_enabled = {properties['projection.enabled']}\n)"
    )


def _setting(name: str, value: str) -> str:
    if name == "range":
        return "ARRAY[" + ", ".join(f"'{end}'" for end in value.split(",")) + "]"
    return value if name == "interval" else f"'{value}'"
