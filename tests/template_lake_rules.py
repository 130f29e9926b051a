"""Rules for what makes files and reads them: Firehose, the catalog, Athena."""

from __future__ import annotations

import re
from collections.abc import Iterator

from template_values import GLUE_TABLE, WORKGROUP, Deployment, as_list, destinations, storage_of

from etl.ddl import table_properties
from etl.query import list_queries
from etl.schema import COMPACTED_TABLE, JSON_KEYS, RAW_TABLE, TABLES, glue_columns
from infra.generate_template import INSIGHTS, named_query_sql


def conversion_has_room(deployment: Deployment) -> Iterator[str]:
    """A buffer of at least 64 MB, and an interval that AWS takes."""
    for name, destination in destinations(deployment):
        hints = destination.get("BufferingHints", {})
        if not 64 <= hints.get("SizeInMBs", 0) <= 128 or not 0 <= hints.get("IntervalInSeconds", -1) <= 900:
            yield f"{name}: {hints}"


def compression_is_the_serializers(deployment: Deployment) -> Iterator[str]:
    for name, destination in destinations(deployment):
        conversion = destination["DataFormatConversionConfiguration"]
        parquet = conversion["OutputFormatConfiguration"]["Serializer"]["ParquetSerDe"]
        if destination.get("CompressionFormat") != "UNCOMPRESSED" or conversion.get("Enabled") is not True:
            yield f"{name}: not converted, or compressed outside"
        if (
            parquet.get("Compression") != RAW_TABLE.compression
            or parquet.get("EnableDictionaryCompression") is not True
        ):
            yield f"{name}: {parquet}"


def errors_lie_outside_tables(deployment: Deployment) -> Iterator[str]:
    for name, destination in destinations(deployment):
        prefix = destination.get("ErrorOutputPrefix", "")
        if "!{firehose:error-output-type}" not in prefix or "!{firehose:error-output-type}" in destination["Prefix"]:
            yield f"{name}: {prefix!r}"
        for table, properties in deployment.of_type(GLUE_TABLE).items():
            if f"s3://{deployment['LakeBucketName']}/{prefix}".startswith(storage_of(properties)["Location"]):
                yield f"{name}: its errors would be read as rows of {table}"


def prefix_is_the_partition(deployment: Deployment) -> Iterator[str]:
    """The date pattern of the prefix, the projection's format and the table's location name the same folders."""
    for name, destination in destinations(deployment):
        schema = destination["DataFormatConversionConfiguration"]["SchemaConfiguration"]
        table = deployment.of_type(GLUE_TABLE)[schema["TableName"].strip("<>")]
        (key,) = table["TableInput"]["PartitionKeys"]
        properties, location = table["TableInput"]["Parameters"], storage_of(table)["Location"]
        pattern = properties[f"projection.{key['Name']}.format"]
        day = f"{key['Name']}=!{{timestamp:{pattern}}}/"
        if f"s3://{deployment['LakeBucketName']}/{destination['Prefix']}" != location + day:
            yield f"{name}: {destination['Prefix']} is not {location}{day}"
        if "storage.location.template" in properties:
            yield f"{name}: a location template says otherwise"


def keys_are_the_schemas(deployment: Deployment) -> Iterator[str]:
    for name, destination in destinations(deployment):
        inputs = destination["DataFormatConversionConfiguration"]["InputFormatConfiguration"]
        mapping = inputs["Deserializer"]["OpenXJsonSerDe"].get("ColumnToJsonKeyMappings")
        if mapping != JSON_KEYS:
            yield f"{name}: the mapping is not etl.schema.JSON_KEYS"
        if set(mapping or ()) & set((mapping or {}).values()):
            yield f"{name}: a key is a column's name"


def streams_wait_for_grants(deployment: Deployment) -> Iterator[str]:
    """Where Lake Formation governs, a stream that may not read its schema is not made."""
    grants = deployment.of_type("AWS::LakeFormation::PrincipalPermissions")
    granted = {each["Principal"]["DataLakePrincipalIdentifier"] for each in grants.values()}
    for name, destination in destinations(deployment):
        waits = deployment.resources[name].get("Metadata", {}).get("After", [])
        mine = {f"<{grant}>" for grant in grants if grant.startswith(name)}
        if mine - set(waits) or (deployment["UseLakeFormation"] == "Yes" and destination["RoleARN"] not in granted):
            yield name
    if deployment["UseLakeFormation"] == "Yes" and "<CreateCatalogRole.Arn>" not in granted:
        yield "CreateCatalogRole"


def tables_are_the_schemas(deployment: Deployment) -> Iterator[str]:
    made = {table["TableInput"]["Name"]: table for table in deployment.of_type(GLUE_TABLE).values()}
    expected = {table.name: table for table in TABLES if table is not COMPACTED_TABLE}
    if made.keys() != expected.keys():
        yield f"there are {sorted(made)}"
    for name in made.keys() & expected.keys():
        given, table, storage = made[name]["TableInput"], expected[name], storage_of(made[name])
        if storage["Columns"] != glue_columns(table):
            yield f"{name}: its columns are not the schema's"
        if {column["Name"] for column in storage["Columns"]} & {key["Name"] for key in given["PartitionKeys"]}:
            yield f"{name}: a partition key is a column too"
        if given["PartitionKeys"] != [{"Name": table.partition_key, "Type": "string"}]:
            yield f"{name}: {given['PartitionKeys']}"
        if not table_properties(table, first_day=deployment["FirstDay"]).items() <= given["Parameters"].items():
            yield f"{name}: {given['Parameters']}"
        if storage["Location"] != f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}{table.folder}/":
            yield f"{name}: {storage['Location']}"


def catalog_follows_the_version(deployment: Deployment) -> Iterator[str]:
    """The function that makes the views runs after the tables, and again when another schema is deployed."""
    (name, catalog), *_ = deployment.of_type("Custom::AccesslakeCatalog").items()
    given = {key: catalog.get(key) for key in ("Database", "RecipeDatabase", "FirstDay")}
    if given != {key: deployment[f"{key}Name" if key == "Database" else key] for key in given}:
        yield f"{name}: {given}"
    if catalog.get("LakeUri") != f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}":
        yield f"{name}: {catalog.get('LakeUri')}"
    if not re.fullmatch("[0-9a-f]{16}", str(catalog.get("Version"))):
        yield f"{name}: no version"
    if set(deployment.of_type(GLUE_TABLE)) - set(as_list(deployment.resources[name].get("DependsOn", []))):
        yield f"{name}: does not wait for the tables"


def queries_are_the_files(deployment: Deployment) -> Iterator[str]:
    made = {each["Name"]: each for each in deployment.of_type("AWS::Athena::NamedQuery").values()}
    expected = {query.name: named_query_sql(query) for query in list_queries()}
    if {name: each["QueryString"].rstrip("\n") for name, each in made.items()} != expected:
        yield "they are not those of queries/"
    for name, each in made.items():
        if (each["Database"], each["WorkGroup"]) != (deployment["DatabaseName"], "<Workgroup>"):
            yield name


def saved_searches_are_the_files(deployment: Deployment) -> Iterator[str]:
    """Over the log that the detector writes, where there is one."""
    found = {
        each["Name"]: (each["LogGroupNames"], each["QueryString"])
        for each in deployment.of_type("AWS::Logs::QueryDefinition").values()
    }
    files = {path.stem: path.read_text(encoding="utf-8") for path in INSIGHTS.glob("*.txt")}
    expected = {f"stack/{name}": (["<DetectorLogs>"], text) for name, text in files.items()}
    if found != (expected if deployment["Detection"] == "Yes" else {}):
        yield f"{sorted(found)}, not {sorted(expected)}, or others' text"


def queries_are_bounded(deployment: Deployment) -> Iterator[str]:
    results = f"s3://{deployment['LakeBucketName']}/{deployment['LakePrefix']}athena-results/"
    for name, workgroup in deployment.of_type(WORKGROUP).items():
        settings = workgroup["WorkGroupConfiguration"]
        if settings.get("EnforceWorkGroupConfiguration") is not True:
            yield f"{name}: a client may choose otherwise"
        if not settings.get("BytesScannedCutoffPerQuery", 0) >= 10_000_000:
            yield f"{name}: no cutoff"
        if settings["ResultConfiguration"]["OutputLocation"] != results:
            yield f"{name}: {settings['ResultConfiguration']}"
        if "EncryptionConfiguration" not in settings["ResultConfiguration"]:
            yield f"{name}: results are not encrypted"
