"""The lake's tables and views in the AWS Glue Data Catalog: what they must be, and making them so."""

from etl.catalog._create import Created, create_catalog
from etl.catalog._keeper import GlueKeeper, open_lake
from etl.catalog._tables import table_differences, table_input
from etl.catalog._views import (
    EXACT_VIEW,
    VIEW,
    access_logs_input,
    exact_input,
    read_state,
    recipe_input,
    view_differences,
)
from etl.lake import State

__all__ = [
    "EXACT_VIEW",
    "VIEW",
    "Created",
    "GlueKeeper",
    "State",
    "access_logs_input",
    "create_catalog",
    "exact_input",
    "open_lake",
    "read_state",
    "recipe_input",
    "table_differences",
    "table_input",
    "view_differences",
]
