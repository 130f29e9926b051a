"""Rules for who may do what: roles, policies, buckets."""

from __future__ import annotations

from collections.abc import Iterator

from template_values import (
    BUCKET,
    FUNCTION,
    LOG_GROUP,
    QUEUE,
    ROLE,
    Deployment,
    Json,
    as_list,
    destinations,
    role_statements,
    statements,
)

from etl.catalog import VIEW
from etl.schema import COMPACTED_TABLE

POLICIES = {"AWS::S3::BucketPolicy": "s3:*", "AWS::SQS::QueuePolicy": "sqs:*"}
CONFUSED_DEPUTY = {
    "firehose.amazonaws.com": {"StringEquals": {"sts:ExternalId": "111122223333"}},
    "scheduler.amazonaws.com": {"StringEquals": {"aws:SourceAccount": "111122223333"}},
}
"""Services that act for other accounts too, and what they must say of this one."""
OF_THEIR_ACCOUNT = ("lambda.amazonaws.com", "glue.amazonaws.com")
"""Whoever has these use a role must be allowed to pass it, and a role is passed within its account only."""
ANY_RESOURCE = {"RewriterRole/SendMetrics": {"StringEquals": {"cloudwatch:namespace": "Glue"}}}
"""Statements that may name any resource, and what bounds them instead: metrics have no names in IAM."""
EXPIRING = ("athena-results/", "errors/")
WRITABLE = {
    "ParserRole": {"raw/*", "quarantine/*"},
    "StreamRole": {"raw/*", "errors/*"},
    "CreateCatalogRole": {"meta/lake.json"},
    "CompactorRole": {"staging/*", "compacted/*", "meta/plan/*", "meta/winner/*", "meta/commit/*"},
    "DetectorRole": {"findings/*"},
    "RewriterRole": {"staging/*", "compacted/*", "quarantine/*", "meta/plan/*", "meta/winner/*", "meta/commit/*"},
}
DELETABLE = {"CompactorRole": {"raw/*", "staging/*"}, "RewriterRole": {"raw/*", "staging/*"}}
"""What each role may write and remove in the lake, and nothing else anywhere."""


def roles_name_what_they_may(deployment: Deployment) -> Iterator[str]:
    for name, role in deployment.of_type(ROLE).items():
        if "ManagedPolicyArns" in role:
            yield f"{name}: policies of others"
    for name, statement in role_statements(deployment):
        place = f"{name}/{statement.get('Sid')}"
        if "Resource" not in statement or (
            "*" in as_list(statement["Resource"])
            and (place not in ANY_RESOURCE or statement.get("Condition") != ANY_RESOURCE[place])
        ):
            yield f"{place}: any resource"
        if any("*" in action for action in as_list(statement.get("Action", "*"))):
            yield f"{place}: {statement.get('Action')}"
    for name, policy in deployment.of_type("AWS::IAM::Policy").items():
        yield f"{name}: comes after the role that needs it: {policy.get('Roles')}"
    for name, function in deployment.of_type(FUNCTION).items():
        if "Policies" in function or "Role" not in function:
            yield f"{name}: SAM would add a policy for all log groups"


def roles_write_only_where_they_must(deployment: Deployment) -> Iterator[str]:
    """Only who compacts deletes and writes compacted/, nobody removes a compacted file, and nobody writes the log bucket."""
    bucket = f"arn:aws:s3:::{deployment['LakeBucketName']}/{deployment['LakePrefix']}"
    for name, statement in role_statements(deployment):
        actions = as_list(statement["Action"])
        places = {resource.removeprefix(bucket) for resource in as_list(statement["Resource"])}
        if any("Delete" in action and action not in ("sqs:DeleteMessage", "s3:DeleteObject") for action in actions):
            yield f"{name}: {actions}"
        if "s3:DeleteObject" in actions and not places <= DELETABLE.get(name, set()):
            yield f"{name}: deletes {sorted(places)}"
        if "s3:PutObject" in actions and not places <= WRITABLE.get(name, set()):
            yield f"{name}: writes {sorted(places)}"


def the_state_moves_in_two_tables(deployment: Deployment) -> Iterator[str]:
    """Who compacts changes the view and the table it reads, and no other one; it makes none and drops none."""
    if deployment["Compaction"] != "elsewhere":
        yield from _moves_the_state(deployment, "CompactorRole")
    if deployment["SparkJob"] == "Yes":
        yield from _moves_the_state(deployment, "RewriterRole")


def _moves_the_state(deployment: Deployment, role: str) -> Iterator[str]:
    arn, database = "arn:aws:glue:eu-west-1:111122223333", deployment["DatabaseName"]
    tables = {f"{arn}:table/{database}/{name}" for name in (VIEW, COMPACTED_TABLE.name)}
    found = [
        (set(as_list(statement["Action"])), set(as_list(statement["Resource"])))
        for name, statement in role_statements(deployment)
        if name == role and any(action.startswith("glue:") for action in as_list(statement["Action"]))
    ]
    if found != [({"glue:GetTable", "glue:UpdateTable"}, {f"{arn}:catalog", f"{arn}:database/{database}", *tables})]:
        yield f"{role}: {found}"
    grants = {
        grant["Resource"]["Table"]["Name"]: grant["Permissions"]
        for name, grant in deployment.of_type("AWS::LakeFormation::PrincipalPermissions").items()
        if grant["Principal"]["DataLakePrincipalIdentifier"] == f"<{role}.Arn>"
        and "Table" in grant["Resource"]
        and "Catalog" in as_list(deployment.resources[name].get("DependsOn", []))
    }
    granted = {VIEW: ["ALTER", "DESCRIBE"], COMPACTED_TABLE.name: ["ALTER", "DESCRIBE"]}
    if grants != (granted if deployment["UseLakeFormation"] == "Yes" else {}):
        yield f"{role}: grants {grants}"


def the_detector_reads_new_files_alone(deployment: Deployment) -> Iterator[str]:
    """Neither what it wrote, nor compacted rows, nor the log objects themselves."""
    read = [
        statement["Resource"]
        for name, statement in role_statements(deployment)
        if name == "DetectorRole" and "s3:GetObject" in as_list(statement["Action"])
    ]
    raw = f"arn:aws:s3:::{deployment['LakeBucketName']}/{deployment['LakePrefix']}raw/*"
    if read != ([raw] if deployment["Detection"] == "Yes" else []):
        yield f"DetectorRole: reads {read}"


def services_are_who_they_say(deployment: Deployment) -> Iterator[str]:
    """A service acts for this account only: the confused deputy."""
    for name, role in deployment.of_type(ROLE).items():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        service = statement["Principal"].get("Service")
        if service not in OF_THEIR_ACCOUNT and CONFUSED_DEPUTY.get(service) != statement.get("Condition"):
            yield f"{name}: {service} {statement.get('Condition')}"
    for kind in (*POLICIES, "AWS::SNS::TopicPolicy"):
        for name, policy in deployment.of_type(kind).items():
            for statement in statements(policy):
                account = statement.get("Condition", {}).get("StringEquals", {}).get("aws:SourceAccount")
                if statement["Effect"] == "Allow" and ("Service" not in statement["Principal"] or not account):
                    yield f"{name}/{statement.get('Sid')}"


def _bucket(deployment: Deployment, name: str) -> Json | None:
    buckets = deployment.of_type(BUCKET).values()
    return next((each for each in buckets if each["BucketName"] == deployment[name]), None)


def buckets_are_closed(deployment: Deployment) -> Iterator[str]:
    closed = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
    for name, bucket in deployment.of_type(BUCKET).items():
        access = bucket.get("PublicAccessBlockConfiguration", {})
        if not all(access.get(key) is True for key in closed):
            yield f"{name}: {access}"
        if bucket.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name}: ACLs"
        rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        algorithms = [rule["ServerSideEncryptionByDefault"].get("SSEAlgorithm") for rule in rules]
        own_key = name == "LakeBucket" and deployment["KmsKeyArn"]
        if algorithms != (["aws:kms"] if own_key else ["AES256"]):
            yield f"{name}: {algorithms}"


def what_holds_data_outlives_the_stack(deployment: Deployment) -> Iterator[str]:
    kinds = (BUCKET, "AWS::S3::BucketPolicy", "AWS::Glue::Database")
    for name, resource in deployment.resources.items():
        if resource["Type"] in kinds and (
            resource.get("DeletionPolicy") != "Retain" or resource.get("UpdateReplacePolicy") != "Retain"
        ):
            yield name


def only_tls(deployment: Deployment) -> Iterator[str]:
    """Who speaks without TLS is refused, whoever it is and whatever it asks for, and nobody else is."""
    for kind, actions in POLICIES.items():
        covered = set()
        for name, policy in deployment.of_type(kind).items():
            denies = [statement for statement in statements(policy) if statement["Effect"] == "Deny"]
            for statement in denies:
                if statement.get("Condition") != {"Bool": {"aws:SecureTransport": "false"}}:
                    yield f"{name}: {statement.get('Condition')}"
                elif (statement.get("Principal"), statement.get("Action")) == ("*", actions):
                    covered |= set(as_list(statement["Resource"]))
                else:
                    yield f"{name}: exempts someone or something"
        for name, resource in deployment.of_type(BUCKET if kind.startswith("AWS::S3") else QUEUE).items():
            arn = f"arn:aws:s3:::{resource['BucketName']}" if "BucketName" in resource else f"<{name}.Arn>"
            if not {arn, *([f"{arn}/*"] if "BucketName" in resource else [])} <= covered:
                yield f"{name}: nothing asks for TLS"


def rows_never_expire(deployment: Deployment) -> Iterator[str]:
    bucket = _bucket(deployment, "LakeBucketName")
    if bucket is None:
        return
    lake = deployment["LakePrefix"]
    expired = {}
    for rule in bucket["LifecycleConfiguration"]["Rules"]:
        effects = rule.keys() - {"Id", "Status", "Prefix", "AbortIncompleteMultipartUpload"}
        if effects and (
            effects != {"ExpirationInDays"} or rule.get("Prefix") not in {lake + each for each in EXPIRING}
        ):
            yield f"{rule}"
        elif effects:
            expired[rule["Prefix"].removeprefix(lake)] = rule["ExpirationInDays"]
    if set(expired) != set(EXPIRING):
        yield f"only {sorted(expired)} is cleared"
    elif expired["errors/"] < 90:
        yield "errors cannot be replayed for long"


def uploads_are_aborted(deployment: Deployment) -> Iterator[str]:
    for name, bucket in deployment.of_type(BUCKET).items():
        rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
        aborting = [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule and "Prefix" not in rule]
        if not any(rule.get("Status") == "Enabled" for rule in aborting):
            yield name


def logs_can_be_delivered(deployment: Deployment) -> Iterator[str]:
    """S3 says nothing when it cannot: the logs just never come."""
    bucket = _bucket(deployment, "LogBucketName")
    if bucket is None:
        return
    if bucket.keys() & {"ObjectLockConfiguration", "ObjectLockEnabled", "LoggingConfiguration"}:
        yield "the bucket takes no logs, or logs itself"
    policies = deployment.of_type("AWS::S3::BucketPolicy").values()
    allowed = [
        statement
        for policy in policies
        for statement in statements(policy)
        if statement["Effect"] == "Allow" and statement["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    ]
    if not allowed:
        yield "no policy lets logging.s3.amazonaws.com in"
    arn = f"arn:aws:s3:::{deployment['LogBucketName']}"
    sources = [f"arn:*:s3:::{name}" for name in deployment["SourceBuckets"]]
    for statement in allowed:
        account = {"aws:SourceAccount": deployment["SourceAccount"] or "111122223333"}
        condition = {
            "StringEquals": account,
            "ArnLike": {"aws:SourceArn": sources},
            "ArnNotLike": {"aws:SourceArn": arn},
        }
        if (statement["Action"], statement["Resource"]) != ("s3:PutObject", f"{arn}/{deployment['LogPrefix']}*"):
            yield f"{statement['Action']} {statement['Resource']}"
        if statement.get("Condition") != condition:
            yield f"{statement.get('Condition')}"


def _opening(deployment: Deployment, *, queue: str, bucket: str) -> set[str]:
    """Policies that let S3 send to the queue for this bucket."""
    arn = f"arn:aws:s3:::{deployment[bucket]}"
    return {
        name
        for name, policy in deployment.of_type("AWS::SQS::QueuePolicy").items()
        for statement in statements(policy)
        if statement["Effect"] == "Allow"
        and (statement["Principal"], statement["Action"]) == ({"Service": "s3.amazonaws.com"}, "sqs:SendMessage")
        and statement["Resource"] == f"<{queue}.Arn>"
        and statement["Condition"]["ArnLike"] == {"aws:SourceArn": arn}
    }


def notifications_reach_the_queue(deployment: Deployment) -> Iterator[str]:
    """The queue lets the bucket in before the bucket notifies it, and the bucket's name makes no circle of that."""
    opening = _opening(deployment, queue="LogQueue", bucket="LogBucketName")
    if not opening:
        yield "the log bucket may not notify"
    for name, bucket in deployment.of_type(BUCKET).items():
        if bucket["BucketName"] != deployment["LogBucketName"]:
            continue
        configured = bucket.get("NotificationConfiguration", {}).get("QueueConfigurations", [])
        expected: Json = {"Event": "s3:ObjectCreated:*", "Queue": "<LogQueue.Arn>"}
        if deployment["LogPrefix"]:
            rule = {"Name": "prefix", "Value": deployment["LogPrefix"]}
            expected["Filter"] = {"S3Key": {"Rules": [rule]}}
        if configured != [expected]:
            yield f"{name}: {configured}"
        if not opening & set(as_list(deployment.resources[name].get("DependsOn", []))):
            yield f"{name}: does not wait for the queue's policy"


def new_files_reach_the_detector(deployment: Deployment) -> Iterator[str]:
    """Those under raw/, and no others: the detector's own files of findings would call it again."""
    detects = deployment["Detection"] == "Yes"
    opening = _opening(deployment, queue="DetectionQueue", bucket="LakeBucketName")
    if bool(opening) != detects:
        yield "the lake bucket may not notify, or nobody listens"
    rules = [
        {"Name": "prefix", "Value": f"{deployment['LakePrefix']}raw/"},
        {"Name": "suffix", "Value": ".parquet"},
    ]
    expected = {
        "Event": "s3:ObjectCreated:*",
        "Queue": "<DetectionQueue.Arn>",
        "Filter": {"S3Key": {"Rules": rules}},
    }
    for name, bucket in deployment.of_type(BUCKET).items():
        if bucket["BucketName"] != deployment["LakeBucketName"]:
            continue
        configured = bucket.get("NotificationConfiguration", {}).get("QueueConfigurations", [])
        if configured != ([expected] if detects else []):
            yield f"{name}: {configured}"
        after = deployment.resources[name].get("Metadata", {}).get("After", "")
        if detects and after.strip("<>") not in opening:
            yield f"{name}: does not wait for the queue's policy"


def logs_of_logs_are_refused(deployment: Deployment) -> Iterator[str]:
    yield from deployment.failed_assertions()
    log_bucket = deployment["LogBucketName"]
    if not deployment.with_parameters(LakeBucketName=log_bucket).failed_assertions():
        yield "log bucket and lake bucket may be one"
    if not deployment.with_parameters(SourceBuckets=f"other,{log_bucket}").failed_assertions():
        yield "the log bucket may log into itself"


def a_key_is_used_everywhere(deployment: Deployment) -> Iterator[str]:
    key = deployment["KmsKeyArn"]
    if not key:
        return
    for name, group in deployment.of_type(LOG_GROUP).items():
        if group.get("KmsKeyId") != key:
            yield name
    for name, destination in destinations(deployment):
        if destination.get("EncryptionConfiguration") != {"KMSEncryptionConfig": {"AWSKMSKeyARN": key}}:
            yield name
    may = {name for name, statement in role_statements(deployment) if statement["Resource"] == key}
    touching = {
        name
        for name, statement in role_statements(deployment)
        if any(action.startswith("s3:") for action in as_list(statement["Action"]))
    }
    yield from sorted(touching - may)
