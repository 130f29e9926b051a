"""Credentials out of what we print: pure.

Presigned URLs carry them in the request URI, clients put them into referers and user agents, and messages may quote a line.
Data that a user asks for (`parse`, `query`) is given as it is; errors, findings and reports pass through here first. One
mechanism and one list of words for all of them: what is printed is read by more people than logs are, and stays longer, so
rather one value too many is gone.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

_STEMS: Final = (
    *("key", "token", "secret", "passw", "passphrase", "passcode", "pwd", "sig", "auth", "cred", "session", "sessid"),
    *("jwt", "cookie", "saml", "bearer"),
)
"""In a name that sounds like a secret, wherever they stand in it."""
_WORDS: Final = ("pass", "otp", "totp", "sid", "code")
"""These too, but not within another word."""
_STEM: Final = re.compile("|".join([*_STEMS, r"pass(?![a-z])", r"(?<![a-z])t?otp(?![a-z])"]), re.IGNORECASE)
_SESSION: Final = re.compile(r"(?<![a-z])sid(?![a-z])", re.IGNORECASE)
_GRANT: Final = re.compile(r"(?<![\w.-])code\Z", re.IGNORECASE)
_OF_S3: Final = {"x-amz-signedheaders", "signedheaders", "max-keys", "key-marker"}
"""Names that hold a stem, of values that are no secret."""

# --- Signs, each as it is or encoded ----------------------------------------------------------------------------------

_CODED: Final = r"(?:%(?:25)*+|\\(?:u00|x))"
"""What comes before the two hexadecimal digits of a sign: percent-encoded however often, or escaped as in JSON."""
_SPACE: Final = rf"(?:[\s+]|{_CODED}(?:20|0[9AaDd]))"
_COLON: Final = rf"(?::|{_CODED}3[Aa])"
_EQUALS: Final = rf"(?:=|{_CODED}3[Dd])"
_QUOTE: Final = rf"(?:[\"'`]|{_CODED}2[27])"
_DELIMITERS: Final = "26|3[BbDdFf]|2[27]"
_FIELD_END: Final = r"\"(?=\s|\Z)"
"""A quote that ends a field of a log line: within one, quotes stand as the client sent them."""

_PARAMETER: Final = re.compile(
    rf"(?:^|(?P<query>[&?;#]|{_CODED}(?:26|3[BbFf]))|[=\s\"'`]|{_CODED}(?:{_DELIMITERS}))"
    rf"(?P<name>(?:[^&?;#=\s\"'`%\\]++|(?!{_CODED}(?:{_DELIMITERS}))[%\\])++)"
    rf"(?P<sign>{_QUOTE}?+{_EQUALS}|(?P<colon>{_QUOTE}{_SPACE}*+{_COLON}{_SPACE}*+))"
)
"""What opens a parameter, its name, and the sign after it: an equals sign, or the colon of a quoted name.

A value may be a query itself, so an equals sign opens a parameter, too. What else may stand before a name (a comma, a brace, an
encoded space) is taken for a part of it, and does no harm there.
"""

# --- Values -----------------------------------------------------------------------------------------------------------

_END: Final = re.compile(rf"[&\s]|{_FIELD_END}")
"""Where the value of a secret ends: what is encoded in it may be a part of it, and so may a quote."""
_SCHEME: Final = r"(?i:bearer|basic|digest|negotiate|token|apikey|aws|aws4-hmac-sha256)\s++(?!HTTP/)"
_HAS_SCHEME: Final = re.compile(_SCHEME)
_OPENING: Final = re.compile(rf"(?:\\(?!u00|x)|{_CODED}5[Cc])*+(?:(?P<raw>[\"'`])(?!\s|\Z)|{_CODED}2(?P<coded>[27]))")
_CLOSING: Final = {
    '"': re.compile(r"(?P<quote>\")|\sHTTP/"),
    "'": re.compile(rf"(?P<quote>')|{_FIELD_END}|\sHTTP/"),
    "`": re.compile(rf"(?P<quote>`)|{_FIELD_END}|\sHTTP/"),
    "2": re.compile(rf"(?P<quote>{_CODED}22)|[&\s]|{_FIELD_END}"),
    "7": re.compile(rf"(?P<quote>{_CODED}27)|[&\s]|{_FIELD_END}"),
}
"""By how a quoted value begins, its end; or what shows that the quote was none, but the client's."""
_OVER: Final = re.compile(rf"\Z|[&\s+,;:|)\]}}]|{_CODED}(?:0[9AaDd]|2[069BbCc]|3[AaBb]|5[Dd]|7[CcDd])")

# --- Secrets without a name -------------------------------------------------------------------------------------------

_BASE64: Final = rf"(?:[\w+/=.~-]|{_CODED}(?:2[BbFf]|3[Dd]|7[Ee]))"
_HEADERS: Final = ("authorization", "api-key", "auth-token", "security-token", "cookie")
"""How the names of headers end whose value is a secret."""
_ID: Final = "(?:AKIA|ASIA)[A-Z0-9]{4}"
_SHAPES: Final = tuple(
    (signs, re.compile(shape), shown)
    for signs, shape, shown in (
        (
            # https://user:secret@host, from its slashes on.
            ("@", "40"),
            rf"((?:/|{_CODED}2[Ff]){{2}}(?:[^\s/@:?#&\"'%\\]++|(?!{_CODED}(?:2[36Ff]|3[AaFf]|40))[%\\])*+{_COLON})"
            rf"(?!\d{{1,5}}(?:&|{_CODED}26))"
            rf"(?:(?:[^\s/@?#\"%\\]++|(?!{_CODED}(?:2[36Ff]|3[Ff]|40))[%\\])*+(@|{_CODED}40))++",
            r"\1***\2",
        ),
        (
            _HEADERS,
            rf"(?i)((?:{'|'.join(_HEADERS)}){_COLON}{_SPACE}*+)(?:{_SCHEME})?+(?:(?!{_FIELD_END})[^&\s])++",
            r"\1***",
        ),
        (
            # At least one digit or sign, or twenty letters: what else may follow is a word of a sentence.
            ("bearer", "basic"),
            rf"(?i)((?:bearer|basic){_SPACE}++)(?!HTTP/)(?=[a-z_./~-]{{0,19}}[0-9%+=]|[a-z_./~-]{{20}}){_BASE64}{{6,}}+",
            r"\1***",
        ),
        (("aws",), rf"(\bAWS{_SPACE}++[\w.-]{{1,128}}+{_COLON}){_BASE64}{{20,}}+", r"\1***"),
        # An access key id, and the signature after it in a header of Signature Version 2.
        (("akia", "asia"), rf"({_ID})[A-Z0-9]{{8,}}+(?:{_COLON}{_BASE64}++)?+", r"\1***"),
        (("eyj",), rf"((?<![\w-])|{_CODED}[0-9A-Fa-f]{{2}})eyJ[\w-]{{5,}}+(?:\.[\w-]*+){{2,}}+", r"\1eyJ***"),
        (("gh",), r"(gh[oprsu]_)[A-Za-z0-9]{20,}+", r"\1***"),
        (("github_pat_",), r"(github_pat_)\w{20,}+", r"\1***"),
        (("glpat-", "xox"), r"(glpat-|xox[a-z]-)[\w-]{10,}+", r"\1***"),
        # Session tokens of AWS.
        (("fwogzxivyxdz", "iqojb3jpz2lu"), rf"(FwoGZXIvYXdz|IQoJb3JpZ2lu){_BASE64}{{20,}}+", r"\1***"),
    )
)
"""What one of these, in lower case, has to be in the text for; how such a secret looks; what is shown in its place."""
MAY_HOLD_SECRET: Final = (
    rf"(?:(?i:{'|'.join([*_STEMS, *_WORDS])})|%).*(?:=|:|3[AaDd])|(?i:bearer|basic)|//.*:.*(?:@|40)"
    r"|AWS.*(?::|3[Aa])|AKIA|ASIA|eyJ|gh[oprsu]_|github_pat_|glpat-|xox|FwoGZXIvYXdz|IQoJb3JpZ2lu"
)
r"""In every printable ASCII text without `"` and `\` that `mask` changes, in a syntax that Arrow has as well."""


def mask(text: str) -> str:
    """The text with the values of what sounds like a secret as `***`, and access key ids cut to their first eight characters.

    A value of any other name is looked through in turn: it may be a URL, or a query, or JSON. Linear in the text's length.
    """
    lowered = text.lower()
    for signs, shape, shown in _SHAPES:
        if any(sign in lowered for sign in signs):
            text = shape.sub(shown, text)
    kept: list[str] = []
    start = done = 0
    while found := _PARAMETER.search(text, start):
        if _is_secret(found):
            hidden, start = _find_value(text, found.end())
            kept += [text[done:hidden], "***"]
            done = start
        else:
            start = found.start("sign")
    return "".join([*kept, text[done:]])


def _is_secret(parameter: re.Match[str]) -> bool:
    """A path that only speaks of secrets is none, nor is an object's key, an error's code or a statement's sid in JSON."""
    decoded = _decode(parameter["name"])
    name = decoded.strip("/\\'\"`[](){}<>,|+ ")
    in_query = parameter["query"] is not None
    if not in_query or decoded.startswith("/") or "://" in name:
        name = name.rpartition("/")[2]
    if parameter["colon"] is not None and name.lower() in ("key", "keys"):
        return False
    if _STEM.search(name) is not None:
        return name.lower() not in _OF_S3
    if parameter["colon"] is not None:
        return False
    return _SESSION.search(name) is not None or (in_query and _GRANT.search(name) is not None)


def _find_value(text: str, start: int) -> tuple[int, int]:
    """Where what has to be hidden begins and ends."""
    if opened := _OPENING.match(text, start):
        closed = _CLOSING[opened["raw"] or opened["coded"]].search(text, opened.end())
        if closed and closed["quote"]:
            if _OVER.match(text, closed.end()):
                return opened.end(), closed.start()
            return start, _find_end(text, closed.end())
    scheme = _HAS_SCHEME.match(text, start)
    return start, _find_end(text, scheme.end() if scheme else start)


def _find_end(text: str, start: int) -> int:
    end = _END.search(text, start)
    return end.start() if end else len(text)


def _decode(name: str) -> str:
    """However often it is encoded: each `%25` that an escape follows is one more time."""
    if "%" not in name:
        return name
    return unquote(re.sub(r"%(?:25)++(?=[0-9A-Fa-f]{2})", "%", name))
