"""The charts, as SVG that is drawn once and follows the page's theme.

Altair says what is drawn, and vl-convert draws it without a browser or a network. Colours are CSS variables of the page, which
each theme sets. A chart is drawn twice, for wide and for narrow screens, since scaled letters could not be read on one of them;
the page shows one. Nothing in a chart comes out of a log but days and numbers.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from etl.errors import UsageError
from etl.report._spans import Drawn

WIDE: Final = 886
NARROW: Final = 316
_HEIGHT: Final = 170
_FONT: Final = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
_LABEL_SIZE: Final = 12
_WIDEST_BAR: Final = 64
_MOST_BAND: Final = 0.82
_TICK_EVERY: Final = 90
"""Pixels between labelled days."""
_FORMATS: Final = {"day": "%-d %b", "week": "%-d %b %y", "month": "%b %Y"}


@dataclass(frozen=True)
class Bars:
    """What a bar stands for: an attribute of `Day`, what it is called, and its colour, a CSS variable of the page."""

    name: str
    label: str
    colour: str


@dataclass(frozen=True)
class Chart:
    """The same chart twice."""

    wide: str
    narrow: str


def load_charts() -> None:
    """Raise `UsageError` if the libraries of the report are not installed, before anything is read for nothing."""
    try:
        import altair  # noqa: F401
        import jinja2  # noqa: F401
        import vl_convert  # noqa: F401
    except ModuleNotFoundError as error:
        raise UsageError("report", f"{error.name} is not installed", hint="pip install 'accesslake[report]'") from None


def draw_days(drawn: Drawn, bars: Sequence[Bars], *, label: str, unit: str = "") -> Chart:
    """Bars over time, one upon the other if there are several; `unit` is that of the numbers (`B` or none).

    `label` is read out in the place of the picture; it goes into an attribute and is escaped here.
    """
    rows = [
        {"day": each.day, "kind": bar.label, "order": order, "n": getattr(each, bar.name)}
        for each in drawn.days
        for order, bar in enumerate(bars)
    ]
    colours = {bar.label: f"var(--{bar.colour})" for bar in bars}
    told = f'<svg role="img" aria-label="{html.escape(label)}" focusable="false" '
    wide, narrow = (_draw(rows, drawn, colours, unit, width).replace("<svg ", told, 1) for width in (WIDE, NARROW))
    return Chart(wide, narrow)


def _draw(rows: list[dict[str, Any]], drawn: Drawn, colours: Mapping[str, str], unit: str, width: int) -> str:
    import altair as alt
    import vl_convert

    count = len(drawn.days)
    every = -(-count * _TICK_EVERY // width)
    ticks = [each.day for each in drawn.days[:: max(1, every)]]
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_bar(width=alt.RelativeBandSize(band=min(_MOST_BAND, _WIDEST_BAR * count / width)))
        .encode(
            x=alt.X(
                "day:O",
                title=None,
                scale=alt.Scale(paddingInner=0.0, paddingOuter=0.1),
                axis=alt.Axis(
                    values=ticks,
                    labelExpr=f"utcFormat(utcParse(datum.value, '%Y-%m-%d'), '{_FORMATS[drawn.step]}')",
                    labelAngle=0,
                    labelOverlap=True,
                    grid=False,
                ),
            ),
            y=alt.Y(
                "n:Q",
                title=None,
                stack="zero",
                axis=alt.Axis(tickCount=4, tickMinStep=1, labelExpr=_si_label(unit), domain=False, ticks=False),
            ),
            color=alt.Color("kind:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None),
            order=alt.Order("order:Q"),
        )
        # The size is that of the whole picture, letters included.
        .properties(width=width, height=_HEIGHT, background="none", autosize={"type": "fit", "contains": "padding"})
        .configure(aria=False, font=_FONT, padding={"left": 0, "right": 6, "top": 6, "bottom": 5})
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="var(--grid)",
            labelColor="var(--muted)",
            domainColor="var(--line)",
            tickColor="var(--line)",
            labelFontSize=_LABEL_SIZE,
        )
    )
    return str(vl_convert.vegalite_to_svg(chart.to_dict(), allowed_base_urls=[]))


def _si_label(unit: str) -> str:
    """Vega expression: `1.5M`, and for bytes `1.5 MB` with the letters the page uses elsewhere."""
    number = "format(datum.value, '~s')"
    if not unit:
        return number
    return rf"replace({number}, /([kMGTPE]?)$/, ' $1{unit}')"
