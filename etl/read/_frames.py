"""pandas, which is imported only by who asks for a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]
    import pyarrow as pa


def load_pandas() -> None:
    """Raise `UsageError` if there is no pandas, before anything is read for nothing."""
    try:
        import pandas  # noqa: F401
    except ModuleNotFoundError:
        raise UsageError("pandas", "is not installed", hint="pip install 'accesslake[pandas]'") from None


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a frame of Arrow types."""
    import pandas as pd

    return table.to_pandas(types_mapper=pd.ArrowDtype)
