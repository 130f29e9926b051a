"""From log objects to raw Parquet: each object once, whatever happens in between."""

from etl.ingest._ingest import Ingested, ingest
from etl.ingest._object import IngestedObject

__all__ = ["Ingested", "IngestedObject", "ingest"]
