"""Which program sent a request, and from which version on it signs with Signature Version 4: pure.

Versions and advice for AWS's own SDKs are those of "Moving from Signature Version 2 to Signature Version 4" in the S3 user
guide (https://docs.aws.amazon.com/AmazonS3/latest/API/specify-signature-version.html#UsingAWSSDK-move-to-Sig4): the least
version to use; some need the signature version set in the client besides, presigned URLs above all. s3fs signs with Version
4 since its pull request 116 (2015), and fell back to Version 2 by itself until 2845 (2026). Hadoop's S3A signs as the SDK
for Java that it was built with, and refuses Version 2 from 3.4.0 on (HADOOP-18857), which is not where it begins to sign with
Version 4. MinIO's SDKs write `MinIO (OS; ARCH) LIBRARY/VERSION PROGRAM/VERSION`, older ones `Minio`. Of all but AWS's and s3fs
no such version is documented where we could read it, so none is given.

A user agent is what the client says it is. It is good enough to find one's own programs by, and proves nothing. Of a presigned
URL it is that of the program that opens it, which need not be the one that signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

_LONGEST_NAME: Final = 40


class Client(NamedTuple):
    """A program and its version as its user agent gives them; `""` for no version."""

    name: str
    version: str


@dataclass(frozen=True)
class Program:
    """A program that is known by its user agent."""

    name: str
    pattern: re.Pattern[str]
    """Finds it in a user agent; its group is the version."""
    sigv4_since: str | None
    """The version from which on it signs with Version 4; `""` if all do, None if that is not known."""
    action: str
    """What to do if it signs with Version 2 all the same."""
    setting: str
    """What to do if its version is new enough, so that something beside the version has it sign with Version 2."""
    signs: bool = True
    """Whether it signs by itself. If not, it sends what a script or a page signs, or opens a presigned URL."""


_VERSION: Final = r"[/# ]v?([0-9][0-9A-Za-z.\-]{0,20})"


_SIGNER: Final = "Something sets the old signature version in the client: remove that setting, and set the Region."
_CONFIG: Final = "set Config(signature_version='s3v4') and the Region."
_MINIO: Final = r"\bMin(?:IO|io) \([^)]{0,80}\)"


def _program(name: str, token: str, since: str | None, action: str, *, setting: str = _SIGNER) -> Program:
    return Program(name, re.compile(token + rf"(?:{_VERSION})?"), since, action, setting)


def _opener(name: str, pattern: str, action: str) -> Program:
    return Program(name, re.compile(pattern), None, action, _SIGNER, signs=False)


PROGRAMS: Final[tuple[Program, ...]] = (
    _program(
        "AWS console", r"\bS3Console", None, "The console's own requests: there is nothing to upgrade on your side."
    ),
    _program(
        "AWS CLI v1",
        r"\baws-cli(?=/1\.)",
        "1.11.108",
        "Upgrade, then: aws configure set default.s3.signature_version s3v4",
        setting="Run: aws configure set default.s3.signature_version s3v4",
    ),
    _program("AWS CLI v2", r"\baws-cli(?=/2\.)", "", "Remove s3.signature_version from the profile."),
    _program(
        "s3fs",
        r"\bs3fs",
        "1.79",
        "Upgrade and mount with -o sigv4: before 2026 it falls back to Version 2 by itself when Version 4 is refused.",
        setting="Mount with -o sigv4: before 2026 it falls back to Version 2 by itself when Version 4 is refused.",
    ),
    _program("s3cmd", r"\bs3cmd", None, "Upgrade, and remove signature_v2 from .s3cfg."),
    _program("rclone", r"\brclone", None, "Set v2_auth = false for the remote."),
    _program(
        "MinIO client",
        r"\bmc\b(?=/RELEASE)|" + _MINIO + r" minio-go/\S{1,40} mc(?=/)",
        None,
        "Set the alias anew with --api S3v4.",
    ),
    _program(
        "MinIO SDK for Go",
        _MINIO + r" minio-go",
        None,
        "Make its credentials with NewStaticV4, not NewStaticV2 or NewV2. What comes after minio-go in the user agent is the "
        "program.",
    ),
    _program(
        "MinIO SDK",
        _MINIO + r"(?: [A-Za-z\-]{1,40})?",
        None,
        "Upgrade, and have the client sign with Version 4. What comes last in the user agent may be the program.",
    ),
    _program(
        "Cyberduck", r"\b(?:Cyberduck|Mountain Duck|duck)\b", None, "Upgrade, and use the bundled Amazon S3 profile."
    ),
    _program(
        "Hadoop S3A",
        r"\b(?:Hadoop|S3AFileSystem)\b",
        None,
        "Remove fs.s3a.signing-algorithm (S3SignerType is Version 2, and refused from 3.4.0 on), and set the Region. If there is "
        "none, upgrade: S3A signs as its AWS SDK for Java does, which has to be 1.11.201 or later.",
    ),
    _program(
        "JetS3t",
        r"\bJetS3t",
        None,
        "Replace it: it signs with Version 2 unless storage-service.request-signature-version says AWS4-HMAC-SHA256.",
    ),
    _program(
        "AWS SDK for Java 1",
        r"\baws-sdk-java(?=/1\.)",
        "1.11.201",
        "Upgrade, better to SDK 2, and set the Region; presigned URLs need Version 4 set in the client.",
        setting="Remove what sets S3SignerType, and set the Region; presigned URLs need Version 4 set in the client.",
    ),
    _program("AWS SDK for Java 2", r"\baws-sdk-java(?=/2\.)", "", _SIGNER),
    _program(
        "AWS SDK for JavaScript 2",
        r"\baws-sdk-(?:nodejs|js)(?=/2\.)",
        "2.68.0",
        "Upgrade, better to SDK 3, and construct the client with signatureVersion 'v4'.",
        setting="Construct the client with signatureVersion 'v4'.",
    ),
    _program("AWS SDK for JavaScript 3", r"\baws-sdk-js(?=/3\.)", "", _SIGNER),
    _program("AWS SDK for Go 2", r"\baws-sdk-go-v2", "", _SIGNER),
    _program("AWS SDK for Go 1", r"\baws-sdk-go(?=/)", "", _SIGNER),
    _program(
        "AWS SDK for PHP 2",
        r"\baws-sdk-php2",
        "2.7.4",
        "Upgrade, better to SDK 3; on 2.7.4 set signature to v4 in the client.",
        setting="Set signature to v4 in the client.",
    ),
    _program("AWS SDK for PHP 3", r"\baws-sdk-php(?=/3\.)", "", "Set signature_version to v4 in the client."),
    _program("AWS SDK for Ruby 3", r"\baws-sdk-ruby3", "", "Set signature_version to 'v4' in the client."),
    _program(
        "AWS SDK for Ruby 1 or 2", r"\baws-sdk-ruby2?(?=/)", "3", "Upgrade to SDK 3: no version of 1 or 2 is enough."
    ),
    _program(
        "AWS SDK for .NET",
        r"\baws-sdk-(?:net|dotnet)(?:-[a-z0-9]+)?",
        "3.3.0.0",
        "Upgrade, and set AWSConfigsS3.UseSignatureVersion4 = true.",
        setting="Set AWSConfigsS3.UseSignatureVersion4 = true.",
    ),
    _program("AWS Tools for PowerShell", r"\bAWSPowerShell(?:\.[A-Za-z]+)?", "3.3.0.0", "Upgrade the module."),
    _program("AWS SDK for C++", r"\baws-sdk-cpp", "", _SIGNER),
    _program("AWS SDK (newer)", r"\baws-sdk-(?:rust|swift|kotlin)", "", _SIGNER),
    _program(
        "aiobotocore", r"\baiobotocore", None, "Upgrade, and set signature_version='s3v4' in the client's Config."
    ),
    _program("Boto3", r"\bBoto3", "1.4.6", f"Upgrade, and {_CONFIG}", setting=f"S{_CONFIG[1:]}"),
    _program("Botocore", r"\bBotocore", "1.5.71", f"Upgrade, and {_CONFIG}", setting=f"S{_CONFIG[1:]}"),
    _program(
        "Boto 2",
        r"\bBoto(?=/2\.)",
        "2.49.0",
        "Replace it by Boto3; on 2.49.0 set use-sigv4 = True in its configuration.",
        setting="Set use-sigv4 = True in its configuration; better, replace it by Boto3.",
    ),
    _opener(
        "Guzzle",
        rf"\bGuzzleHttp(?:{_VERSION})?",
        "A library that sends what others sign: find the PHP program, and what makes the signature.",
    ),
    _opener(
        "curl or wget",
        rf"^\W*(?:curl|Wget)\b(?:{_VERSION})?",
        "A script signs: change what makes the signature (curl has --aws-sigv4).",
    ),
    # Every browser says Mozilla/5.0: it is no version. An SDK within a page cannot change that.
    _opener(
        "Browser",
        r"\bMozilla(?=/[0-9])()",
        "A web page signs in the browser: find it by its requester, and have its client sign with Version 4 "
        "(signatureVersion 'v4').",
    ),
)
"""The first that matches counts: programs built on an SDK stand before it, and those that imitate a browser after all."""

PRESIGNED: Final = "QueryString"
"""The authentication type of a request whose signature is in its URL."""
PRESIGNED_ACTION: Final = (
    "It opens a presigned URL: find what signs URLs with these credentials (the requester), and have that sign with "
    "Version 4."
)
_OR_ITSELF: Final = (
    "It opens a presigned URL, and need not be what signed it: find what signs URLs with these credentials (the requester). If "
    "it is this one: "
)
UNKNOWN_ACTION: Final = "Ask its maintainers from which version on it signs with Signature Version 4."
NO_AGENT: Final = "(no user agent)"
UNREADABLE: Final = "(unreadable)"
NO_NAME_ACTION: Final = "A program that does not say what it is: find it by its requester and address."
LIBRARY_ACTION: Final = (
    "A library that sends what others sign: find the program by its requester and address, and change what makes the "
    "signature."
)
_LIBRARIES: Final = frozenset(
    (
        *("aiohttp", "Apache-HttpAsyncClient", "Apache-HttpClient", "axios", "Dalvik", "Dart"),
        *("Faraday", "Go-http-client", "got", "Java", "Java-http-client", "libwww-perl"),
        *("node-fetch", "okhttp", "PHP", "PostmanRuntime", "Python", "python-httpx"),
        *("python-requests", "Python-urllib", "python-urllib3", "reqwest", "Ruby"),
    )
)
"""Names that say what a program is made of, and not which it is. No maintainer of these knows who signs."""
_DOTTED: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_PROGRAMS: Final = {program.name: program for program in PROGRAMS}
_FIRST_WORD: Final = re.compile(
    r"[\[\s\"]*([A-Za-z][A-Za-z0-9._\-]{0,60}(?: [A-Z][A-Za-z0-9]{0,20}){0,2})(?:" + _VERSION + ")?"
)


@lru_cache(maxsize=4096)
def read_client(user_agent: str | None) -> Client:
    """The program and its version; of an unknown one, what stands before the first slash."""
    if not user_agent or user_agent.strip() in ("", "-"):
        return Client(NO_AGENT, "")
    text = user_agent[:1024]
    for program in PROGRAMS:
        match = program.pattern.search(text)
        if match is not None:
            return Client(program.name, match[1] or "")
    match = _FIRST_WORD.match(text)
    if match is None:
        return Client(UNREADABLE, "")
    return Client(match[1][:_LONGEST_NAME], match[2] or "")


def advise(client: Client, authentication_type: str | None = None) -> tuple[str | None, str]:
    """The version from which on the client signs with Version 4 (`""`: all do; None: not known), and what to do.

    A client that is new enough is not told to upgrade. One that does not say its version is. Of a presigned URL the client only
    tells who opened it, so the advice is to look for whoever signed.
    """
    program = _PROGRAMS.get(client.name)
    is_presigned = authentication_type == PRESIGNED
    if program is None or not program.signs:
        if is_presigned:
            return None, PRESIGNED_ACTION
        return None, program.action if program is not None else _advise_unknown(client.name)
    since, action = program.sigv4_since, program.action
    if since and client.version and _numbers(client.version) >= _numbers(since):
        action = f"{since} and later are new enough. {program.setting}"
    return since, _OR_ITSELF + action if is_presigned else action


def _advise_unknown(name: str) -> str:
    if name in (NO_AGENT, UNREADABLE):
        return NO_NAME_ACTION
    return LIBRARY_ACTION if name in _LIBRARIES else UNKNOWN_ACTION


def _numbers(version: str) -> tuple[int, ...]:
    """A version to compare with others: `3.3` is `3.3.0`, and what is no number ends it."""
    match = _DOTTED.match(version)
    numbers = [int(part) for part in match[0].split(".")] if match else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
