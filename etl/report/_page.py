"""The page: data in, one HTML file out.

It has no script, and its policy allows none; the one style sheet is allowed by its hash, so that not even a style can be smuggled
in. Every text is escaped by the template engine; texts out of a log go through `show` before.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from etl.report._charts import Bars, Chart, draw_days
from etl.report._clients import group_clients
from etl.report._data import ReportData
from etl.report._headlines import find_headlines, say_nothing
from etl.report._spans import Drawn, choose_days
from etl.report._text import (
    count_of,
    show,
    show_bytes,
    show_count,
    show_day,
    show_period,
    show_share,
    show_time,
    show_usd,
)

if TYPE_CHECKING:
    import jinja2

_FOLDER: Final = Path(__file__).parent / "page"
_SHOWN_CLIENTS: Final = 50
_SHOWN_OPENERS: Final = 6
_SHOWN_USERS: Final = 25
_SHOWN_DAYS: Final = 31
_SHOWN_NAMES: Final = 10
_STEPS: Final = {"day": "day", "week": "week, from Monday", "month": "month"}
_REQUESTS: Final = (Bars("requests", "requests", "c-requests"),)
_BYTES: Final = (Bars("bytes_sent", "bytes sent", "c-bytes"),)
_ERRORS: Final = (Bars("client_errors", "4xx", "c-client"), Bars("server_errors", "5xx", "c-server"))
_SIGV2: Final = (Bars("sigv2", "SigV2 requests", "c-sigv2"),)


def render_report(data: ReportData) -> str:
    """The whole page. The same data give the same page."""
    drawn = choose_days(data.days, today=f"{data.made_at:%Y-%m-%d}")
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    return (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            style=style,
            style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
            headlines=find_headlines(data),
            nothing=say_nothing(data),
            drawn=drawn,
            step=_STEPS[drawn.step],
            charts=_draw_charts(drawn),
            period=show_period(data.period, data.totals),
            clients=group_clients(data.migrations),
            shown_clients=_SHOWN_CLIENTS,
            shown_openers=_SHOWN_OPENERS,
            shown_users=_SHOWN_USERS,
            shown_days=_SHOWN_DAYS,
            shown_names=_SHOWN_NAMES,
        )
    )


def _draw_charts(drawn: Drawn) -> dict[str, Chart]:
    if not drawn.days:
        return {}
    said = f"by {drawn.step}, {drawn.days[0].day} to {drawn.days[-1].day}"
    charts = {
        "requests": draw_days(drawn, _REQUESTS, label=f"Bar chart: requests {said}"),
        "bytes": draw_days(drawn, _BYTES, label=f"Bar chart: bytes sent {said}", unit="B"),
    }
    if any(each.client_errors or each.server_errors for each in drawn.days):
        charts["errors"] = draw_days(drawn, _ERRORS, label=f"Stacked bar chart: errors 4xx and 5xx {said}")
    if any(each.sigv2 for each in drawn.days):
        charts["sigv2"] = draw_days(drawn, _SIGV2, label=f"Bar chart: requests signed with SigV2 {said}")
    return charts


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    # Imported here: it comes with the extra `report`.
    import jinja2
    from markupsafe import Markup, escape

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def as_made(text: str) -> Any:
        """What this program made itself: the style sheet and the pictures."""
        return Markup(text)  # noqa: S704

    def with_code(text: str) -> Any:
        """What stands between backticks, as the headers of the SQL files write it, as code."""
        parts = str(escape(text)).split("`")
        return Markup("".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts)))  # noqa: S704

    def breakable(text: str) -> Any:
        """A text with places to break a line after each slash and colon. Escaped first: no entity has either of them."""
        return Markup(re.sub("[/:]", r"\g<0><wbr>", str(escape(text))))  # noqa: S704

    environment.filters |= {
        "as_made": as_made,
        "breakable": breakable,
        "bytes": show_bytes,
        "code": with_code,
        "count": show_count,
        "day": show_day,
        "show": show,
        "time": show_time,
        "usd": show_usd,
    }
    environment.globals |= {"count_of": count_of, "share": show_share}
    return environment
