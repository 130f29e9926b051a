"""The kinds of clients: how many there are, how busy, with which programs, identities and habits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from etl.generate import _agents as agents
from etl.generate._operations import (
    ADMINISTRATOR,
    ANALYST,
    APPLICATION,
    ARCHIVER,
    INTRUDER,
    LINK,
    OLD_LINK,
    OLD_PROGRAM,
    SERVICE,
    VISITOR,
    WEBSITE,
    Operation,
)


class Identity(Enum):
    """What stands in the requester field."""

    NOBODY = auto()
    USER = auto()
    ROLE = auto()
    ROOT = auto()
    CANONICAL = auto()
    CDN = auto()
    SERVICE = auto()


class Signing(Enum):
    """How a client proves who it is: (signature version, authentication type)."""

    NONE = "- {} -"
    HEADER = "SigV4 {} AuthHeader"
    QUERY = "SigV4 {} QueryString"
    OLD_HEADER = "SigV2 {} AuthHeader"
    OLD_QUERY = "SigV2 {} QueryString"


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """Some clients of one kind; within a crowd a few are far busier than the rest."""

    count: int
    weight: int
    """Traffic of the whole crowd, relative to the bucket's other crowds."""
    agents: tuple[str, ...]
    identity: Identity
    signing: Signing
    operations: tuple[Operation, ...]
    website: bool = False
    access_points: bool = False
    referers: tuple[str, ...] = ("-",)


_PAGES = ("https://gallery.example.com/", "https://www.example.com/albums?page=2", "https://example.org/", "-", "-")
_APP = ("https://app.example.com/files", "https://app.example.com/inbox?id=17", "-")

ADMINISTRATORS = Crowd(
    count=20,
    weight=3,
    agents=agents.INFRASTRUCTURE,
    identity=Identity.ROLE,
    signing=Signing.HEADER,
    operations=ADMINISTRATOR,
)
OWNERS = Crowd(
    count=4,
    weight=2,
    agents=agents.COMMAND_LINE[3:],
    identity=Identity.CANONICAL,
    signing=Signing.HEADER,
    operations=ARCHIVER,
)
ROOT = Crowd(
    count=1,
    weight=1,
    agents=agents.INFRASTRUCTURE[6:],
    identity=Identity.ROOT,
    signing=Signing.HEADER,
    operations=ADMINISTRATOR,
)
INTRUDERS = Crowd(
    count=30,
    weight=2,
    agents=agents.CRAWLERS + agents.COMMAND_LINE[-5:],
    identity=Identity.NOBODY,
    signing=Signing.NONE,
    operations=INTRUDER,
)
OLD_PROGRAMS = Crowd(
    count=6,
    weight=1,
    agents=agents.OLD_SDKS,
    identity=Identity.USER,
    signing=Signing.OLD_HEADER,
    operations=OLD_PROGRAM,
)
ANALYSTS = Crowd(
    count=90,
    weight=60,
    agents=agents.JVM + agents.PYTHON,
    identity=Identity.ROLE,
    signing=Signing.HEADER,
    operations=ANALYST,
    access_points=True,
)
NOTEBOOKS = Crowd(
    count=60,
    weight=20,
    agents=agents.PYTHON + agents.TOOLS,
    identity=Identity.USER,
    signing=Signing.HEADER,
    operations=ANALYST,
)
VISITORS = Crowd(
    count=300,
    weight=50,
    agents=agents.BROWSERS + agents.CRAWLERS + agents.MOBILE,
    identity=Identity.NOBODY,
    signing=Signing.NONE,
    operations=VISITOR,
    referers=_PAGES,
)
CDN = Crowd(
    count=8, weight=25, agents=agents.CLOUDFRONT, identity=Identity.CDN, signing=Signing.HEADER, operations=VISITOR
)
PUBLISHERS = Crowd(
    count=40,
    weight=10,
    agents=agents.OTHER_SDKS + agents.JAVASCRIPT,
    identity=Identity.USER,
    signing=Signing.HEADER,
    operations=APPLICATION,
)
APPLICATIONS = Crowd(
    count=70,
    weight=55,
    agents=agents.JAVASCRIPT + agents.OTHER_SDKS + agents.PYTHON[:8],
    identity=Identity.ROLE,
    signing=Signing.HEADER,
    operations=APPLICATION,
)
LINKS = Crowd(
    count=120,
    weight=40,
    agents=agents.BROWSERS + agents.MOBILE,
    identity=Identity.ROLE,
    signing=Signing.QUERY,
    operations=LINK,
    referers=_APP,
)
OLD_LINKS = Crowd(
    count=10,
    weight=2,
    agents=agents.BROWSERS[::4],
    identity=Identity.USER,
    signing=Signing.OLD_QUERY,
    operations=OLD_LINK,
    referers=_APP,
)
ARCHIVERS = Crowd(
    count=45,
    weight=50,
    agents=agents.TOOLS + agents.COMMAND_LINE,
    identity=Identity.USER,
    signing=Signing.HEADER,
    operations=ARCHIVER,
)
SERVICES = Crowd(
    count=12, weight=30, agents=agents.SERVICES, identity=Identity.SERVICE, signing=Signing.HEADER, operations=SERVICE
)
READERS = Crowd(
    count=120,
    weight=50,
    agents=agents.BROWSERS + agents.CRAWLERS,
    identity=Identity.NOBODY,
    signing=Signing.NONE,
    operations=WEBSITE,
    website=True,
    referers=("http://www.example.com/", "https://search.example.net/", "-", "-"),
)
