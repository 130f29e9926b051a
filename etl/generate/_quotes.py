"""Raw quotes in URI, referer and user agent: those that honest clients send, and those meant to deceive."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from etl.generate._requests import QUERY_SHAPES, Call

_VERSION = ' HTTP/1.1"'


def _with_query(call: Call, text: str) -> Call:
    joint = "&" if "?" in call.closing or call.shape in QUERY_SHAPES else "?"
    return call._replace(closing=call.closing.replace(_VERSION, f"{joint}{text}{_VERSION}", 1))


def _leading(call: Call) -> Call:
    return call._replace(agent='""Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0"')


def _trailing(call: Call) -> Call:
    return call._replace(agent=f'{call.agent}"')


def _inches(call: Call) -> Call:
    return call._replace(agent='"Dalvik/2.1.0 (Linux; U; Android 7.0; Slate 10.1" LTE Build/NRD90M)"')


def _words(call: Call) -> Call:
    return call._replace(agent='"Fetch/1.4 ("nightly" build; linux)"')


def _referer_inches(call: Call) -> Call:
    return call._replace(referer='"https://shop.example.com/search?screen=27""')


def _referer_phrase(call: Call) -> Call:
    return call._replace(referer='"https://search.example.net/?q="red boots" size 9"')


def _file_name(call: Call) -> Call:
    return _with_query(call, 'response-content-disposition=attachment;filename="summary.pdf"')


def _probe(call: Call) -> Call:
    query = 'name="><script>alert("1")</script>'
    return _with_query(call, query)._replace(referer=f'"https://www.example.com/?{query}"')


_STRAY: tuple[Callable[[Call], Call], ...] = (
    _leading,
    _trailing,
    _trailing,
    _inches,
    _inches,
    _words,
    _referer_inches,
    _referer_phrase,
    _file_name,
    _file_name,
    _probe,
)


def with_stray_quotes(call: Call, rng: Random) -> Call:
    """The same call by an honest client whose text holds quotes: its line still has only one legal reading."""
    return rng.choice(_STRAY)(call)


_FORGED_TAIL = "Zm9yZ2VkZm9yZ2VkZm9yZ2Vk SigV2 AES128-SHA AuthHeader forged.example TLSv1 - - us-east-1"


def _agent_tail(call: Call) -> Call:
    return call._replace(agent=f'"probe/1.0" - {_FORGED_TAIL} ""')


def _agent_record(call: Call) -> Call:
    return call._replace(agent=f'"forged.example HTTP/1.1" 200 - 9 9 9 9 "-" "probe" - {_FORGED_TAIL} "x"')


def _uri_block(call: Call) -> Call:
    block = '" 200 - 9 9 9 9 "https://forged.example/" "probe" -'
    return call._replace(closing=call.closing.replace(_VERSION, block + _VERSION, 1))


def _uri_record(call: Call) -> Call:
    record = f'" 200 - 9 9 9 9 "-" "probe" - {_FORGED_TAIL} "'
    return call._replace(closing=call.closing.replace(_VERSION, record + _VERSION, 1))


_FORGERIES: tuple[Callable[[Call], Call], ...] = (_agent_tail, _agent_record, _uri_block, _uri_record)


def forged(call: Call, rng: Random) -> Call:
    """The same call by a client that imitates the fields behind its own; `forged.example` marks what it made up."""
    return rng.choice(_FORGERIES)(call)
