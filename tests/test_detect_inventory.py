"""Who still signs with SigV2, with what, and until when."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
import pytest
from detect_rows import make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.detect import Client, advise, merge_inventories, plan_migration, read_client, take_inventory
from etl.schema import SCHEMA

AGENTS = [
    ("aws-cli/1.11.50 Python/2.7.12 Linux/4.4 botocore/1.5.13", "AWS CLI v1", "1.11.50", "1.11.108"),
    ("aws-cli/2.15.0 md/awscrt#0.19 ua/2.0 md/Botocore#1.33", "AWS CLI v2", "2.15.0", ""),
    ("Boto3/1.4.0 Python/2.7 Linux/4.14 Botocore/1.5.0", "Boto3", "1.4.0", "1.4.6"),
    ("Botocore/1.5.0 Python/3.6", "Botocore", "1.5.0", "1.5.71"),
    ("Boto/2.38.0 Python/2.7.18 Linux/4.14", "Boto 2", "2.38.0", "2.49.0"),
    ("aiobotocore/2.5.0 md/Botocore#1.29", "aiobotocore", "2.5.0", None),
    ("aws-sdk-java/1.7.4 Linux/3.10.0 OpenJDK_64-Bit_Server_VM/24.261", "AWS SDK for Java 1", "1.7.4", "1.11.201"),
    ("aws-sdk-java/2.25.53 md/io#async", "AWS SDK for Java 2", "2.25.53", ""),
    ("aws-sdk-nodejs/2.50.0 linux/v8.10", "AWS SDK for JavaScript 2", "2.50.0", "2.68.0"),
    ("aws-sdk-js/2.50.0 callback", "AWS SDK for JavaScript 2", "2.50.0", "2.68.0"),
    ("aws-sdk-js/3.100.0 ua/2.1", "AWS SDK for JavaScript 3", "3.100.0", ""),
    ("aws-sdk-go/1.8.0 (go1.9; linux; amd64) S3Manager", "AWS SDK for Go 1", "1.8.0", ""),
    ("APN/1.0 HashiCorp/1.0 Terraform/1.5 aws-sdk-go-v2/1.20.0", "AWS SDK for Go 2", "1.20.0", ""),
    ("aws-sdk-php2/2.4.12 Guzzle/3.7.4 curl/7.29.0 PHP/5.6.40", "AWS SDK for PHP 2", "2.4.12", "2.7.4"),
    ("aws-sdk-php/3.100.9 ua/2.0", "AWS SDK for PHP 3", "3.100.9", ""),
    ("aws-sdk-ruby/1.60.2 ruby/1.9.3", "AWS SDK for Ruby 1 or 2", "1.60.2", "3"),
    ("aws-sdk-ruby2/2.11.0 ruby/2.3", "AWS SDK for Ruby 1 or 2", "2.11.0", "3"),
    ("aws-sdk-ruby3/3.190.0 ua/2.1", "AWS SDK for Ruby 3", "3.190.0", ""),
    ("aws-sdk-net/1.5.39.0 .NET Runtime/4.0", "AWS SDK for .NET", "1.5.39.0", "3.3.0.0"),
    ("aws-sdk-dotnet-coreclr/3.7.305.8 ua/2.0", "AWS SDK for .NET", "3.7.305.8", "3.3.0.0"),
    ("aws-sdk-cpp/1.9.214 Linux/5.10", "AWS SDK for C++", "1.9.214", ""),
    ("aws-sdk-rust/1.2.4 ua/2.1", "AWS SDK (newer)", "1.2.4", ""),
    ("s3fs/1.78 (commit hash unknown; OpenSSL)", "s3fs", "1.78", "1.79"),
    ("s3cmd/1.1.0", "s3cmd", "1.1.0", None),
    ("rclone/v1.60.0", "rclone", "1.60.0", None),
    ("MinIO (linux; amd64) minio-go/v7.0.10 mc/RELEASE.2021-01-01", "MinIO client", "", None),
    ("Minio (darwin; amd64) minio-go/2.0.4 mc/2017-06-15T03:38:43Z", "MinIO client", "2017-06-15T03", None),
    ("MinIO (linux; amd64) minio-go/v7.0.10 velero/1.9", "MinIO SDK for Go", "7.0.10", None),
    ("Minio (linux; amd64) minio-go/4.0.6", "MinIO SDK for Go", "4.0.6", None),
    ("MinIO (Linux; x86_64) minio-py/7.1.0", "MinIO SDK", "7.1.0", None),
    ("MinIO (Linux; x86_64)", "MinIO SDK", "", None),
    ("Hadoop 3.1.0, aws-sdk-java/1.11.271 Linux/4.14", "Hadoop S3A", "3.1.0", None),
    ("Hadoop 3.3.4, aws-sdk-java/1.12.262 Linux/5.10", "Hadoop S3A", "3.3.4", None),
    ("Cyberduck/4.7.2.18004 (Mac OS X/10.11)", "Cyberduck", "4.7.2.18004", None),
    ("JetS3t/0.9.3 (Linux/3.10.0; amd64)", "JetS3t", "0.9.3", None),
    ("[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.750 Linux/5.10]", "AWS console", "0.4", None),
    ("curl/8.5.0", "curl or wget", "8.5.0", None),
    ("Wget/1.21.2", "curl or wget", "1.21.2", None),
    ("GuzzleHttp/6.2 curl/7.38 PHP/5.6", "Guzzle", "6.2", None),
    ("MyPoller/3.1 libcurl curl/7.38", "MyPoller", "3.1", None),
    ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "Browser", "", None),
    (
        "CloudBerryLab.Base.HttpUtil.Client 3.7.0 (http://www.cloudberrylab.com/)",
        "CloudBerryLab.Base.HttpUtil.Client",
        "3.7.0",
        None,
    ),
    ("MyApp/2 (internal)", "MyApp", "2", None),
    (None, "(no user agent)", "", None),
    ("", "(no user agent)", "", None),
    ("\x1b[2J", "(unreadable)", "", None),
]


@pytest.mark.parametrize(("agent", "name", "version", "since"), AGENTS)
def test_a_user_agent_is_read_into_a_program(agent: str | None, name: str, version: str, since: str | None) -> None:
    client = read_client(agent)
    assert client == Client(name, version)
    assert advise(client)[0] == since
    assert advise(client)[1].endswith((".", "v4"))


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("Boto3/1.4.5 Botocore/1.5.0", "Upgrade, and set Config"),
        ("Boto3/1.4.6 Botocore/1.5.71", "1.4.6 and later are new enough. Set Config"),
        ("Boto3/1.34.0 md/Botocore#1.34.0", "1.4.6 and later are new enough. Set Config"),
        ("Boto3", "Upgrade"),
        ("aws-cli/1.11.99 Python/2.7.12", "Upgrade"),
        ("aws-cli/1.11.108 Python/2.7.12", "1.11.108 and later are new enough. Run: aws configure set"),
        ("aws-cli/1.12 Python/2.7.12", "1.11.108 and later are new enough. Run: aws configure set"),
        ("aws-sdk-java/1.12.262 Linux/4.14", "1.11.201 and later are new enough. Remove what sets S3SignerType"),
        ("aws-sdk-java/1.7.4 Linux/3.10.0", "Upgrade"),
        ("aws-sdk-dotnet-coreclr/3.3 ua/2.0", "3.3.0.0 and later are new enough. Set AWSConfigsS3"),
        ("AWSPowerShell/3.3.0.0", "3.3.0.0 and later are new enough. Something sets the old signature version"),
        ("aws-sdk-ruby2/2.11.0 ruby/2.3", "Upgrade to SDK 3"),
        ("s3fs/1.90 (commit hash unknown; OpenSSL)", "1.79 and later are new enough. Mount with -o sigv4"),
        ("aws-sdk-go/1.8.0 (go1.9; linux; amd64)", "Something sets the old signature version"),
        ("Hadoop 3.3.4, aws-sdk-java/1.12.262", "Remove fs.s3a.signing-algorithm"),
        ("MinIO (linux; amd64) minio-go/v7.0.10 velero/1.9", "Make its credentials with NewStaticV4"),
    ],
)
def test_who_is_new_enough_is_not_told_to_upgrade(agent: str, told: str) -> None:
    action = advise(read_client(agent))[1]
    assert action.startswith(told)
    assert ("alias" in action) is ("mc/" in agent)


OPENERS = [
    "python-requests/2.31",
    "okhttp/4.9",
    "Go-http-client/1.1",
    "Java/1.8.0",
    "Dalvik/2.1.0 (Linux)",
    "axios/1.6",
]
OPENERS += ["Apache-HttpClient/4.5 (Java/11)", "Mozilla/5.0 (X11)", "curl/8.5.0", "MyApp/2", "\x1b[2J"]


@pytest.mark.parametrize("agent", [*OPENERS, None])
def test_what_opens_a_presigned_url_is_not_asked_how_it_signs(agent: str | None) -> None:
    since, action = advise(read_client(agent), "QueryString")
    assert since is None
    assert action.startswith("It opens a presigned URL: find what signs URLs with these credentials (the requester)")
    assert advise(read_client(agent), "AuthHeader")[1] != action
    assert "maintainers" not in action


def test_a_client_that_signs_may_be_the_one_that_made_a_presigned_url() -> None:
    client = read_client("Boto3/1.4.0 Botocore/1.5.0")
    since, action = advise(client, "QueryString")
    assert since == advise(client, "AuthHeader")[0] == "1.4.6"
    assert action.startswith("It opens a presigned URL")
    assert action.endswith(f"If it is this one: {advise(client, 'AuthHeader')[1]}")


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("\x1b[2J", "find it by its requester and address"),
        (None, "find it by its requester and address"),
        ("python-requests/2.31", "A library"),
        ("Apache-HttpClient/4.5 (Java/11)", "A library"),
        ("MyApp/2", "Ask its maintainers"),
        ("Mozilla/5.0 (X11)", "A web page signs"),
    ],
)
def test_who_signs_without_saying_what_it_is_has_to_be_found(agent: str | None, told: str) -> None:
    assert told in advise(read_client(agent), "AuthHeader")[1]


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=100) | st.sampled_from([agent * 200 for agent, *_ in AGENTS if agent]))
def test_any_user_agent_is_read(agent: str) -> None:
    name, version = read_client(agent)
    assert 0 < len(name) <= 40
    assert len(version) <= 21
    assert (name + version).isprintable()


def hits(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(make_rows(*rows), SCHEMA)


def test_an_inventory_groups_by_requester_bucket_and_program() -> None:
    inventory = take_inventory(
        hits(
            {"user_agent": "Boto3/1.4.0 a", "time": "2024-05-03T00:00:00"},
            {"user_agent": "Boto3/1.4.0 b", "time": "2024-05-01T00:00:00"},
            {"user_agent": "Boto3/1.4.1", "requester": None},
            {"user_agent": "Boto3/1.4.0 a", "bucket_name": "b2"},
            {"user_agent": "Boto3/1.4.0 a", "bucket_name": "b2", "authentication_type": "QueryString"},
        )
    )
    rows = [
        (row["requester"] is None, row["bucket_name"], row["client"], row["client_version"], row["requests"])
        for row in inventory.to_pylist()
    ]
    assert rows == [
        (True, "b1", "Boto3", "1.4.1", 1),
        (False, "b1", "Boto3", "1.4.0", 2),
        (False, "b2", "Boto3", "1.4.0", 1),
        (False, "b2", "Boto3", "1.4.0", 1),
    ]
    assert [row["authentication_type"] for row in inventory.to_pylist()][2:] == ["AuthHeader", "QueryString"]
    both = inventory.to_pylist()[1]
    assert (both["first_request"].day, both["last_request"].day) == (1, 3)


def test_who_was_not_seen_for_long_is_gone() -> None:
    inventory = take_inventory(
        hits(
            {"user_agent": "a/1", "time": "2024-03-02T23:59:59"},
            {"user_agent": "b/1", "time": "2024-03-03T00:00:00"},
            {"user_agent": "c/1", "time": "2024-04-02T00:00:00"},
            {"user_agent": "c/1", "time": "2023-01-01T00:00:00"},
        )
    )
    found = plan_migration(inventory, last_day="2024-04-02")
    assert [(each.client, each.status) for each in found] == [("c", "active"), ("b", "active"), ("a", "gone")]
    assert {each.status for each in plan_migration(inventory, last_day="2024-04-02", gone_after=0)} == {
        "active",
        "gone",
    }


requests = st.fixed_dictionaries(
    {
        "requester": st.sampled_from(["a", "b", None]),
        "bucket_name": st.sampled_from(["b1", "b2"]),
        "authentication_type": st.sampled_from(["AuthHeader", "QueryString", None]),
        "user_agent": st.sampled_from(["Boto3/1.4.0", "Boto3/1.4.1", "s3fs", None]),
        "time": st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2024, 1, 1)).map(
            lambda time: time.replace(microsecond=0).isoformat()
        ),
    }
)


@settings(max_examples=80, deadline=None)
@given(st.lists(requests, max_size=20), st.integers(0, 20))
def test_inventories_of_parts_merge_into_that_of_the_whole(rows: list[dict[str, object]], cut: int) -> None:
    parts = [take_inventory(hits(*rows[:cut])), take_inventory(hits(*rows[cut:]))]
    assert merge_inventories(parts).equals(take_inventory(hits(*rows)))
    assert merge_inventories(reversed(parts)).equals(merge_inventories(parts))
