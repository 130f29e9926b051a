"""A lake's rows in Python: as Arrow or pandas from its files, and through awswrangler where Athena and Glue keep it."""

from etl.read._read import read, read_pandas
from etl.read._wrangler import read_athena, read_compacted_day, read_unloaded

__all__ = ["read", "read_athena", "read_compacted_day", "read_pandas", "read_unloaded"]
