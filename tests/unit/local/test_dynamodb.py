"""Transactions of the local cloud's tables: all or nothing, and no slower with a long history."""

import subprocess
import sys

import pytest

# moto's classes are changed for the whole process, so that each test has one of its own.
_PRELUDE = """
import boto3
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.dynamodb.models import dynamodb_backends
from local.dynamodb import improve_dynamodb

improve_dynamodb()
mock_aws().start()
client = boto3.client(
    "dynamodb", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
)
client.create_table(
    TableName="jobs",
    KeySchema=[
        {"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}
    ],
    AttributeDefinitions=[
        {"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "S"}
    ],
    BillingMode="PAY_PER_REQUEST",
    StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
)
table = lambda: dynamodb_backends["123456789012"]["us-east-1"].tables["jobs"]
key = lambda name: {"pk": {"S": name}, "sk": {"S": "x"}}

def put(name, **condition):
    return {"Put": {"TableName": "jobs", "Item": {**key(name), "n": {"N": "1"}}, **condition}}

def add(name):
    return {"Update": {"TableName": "jobs", "Key": key(name), "UpdateExpression": "ADD n :one",
                       "ExpressionAttributeValues": {":one": {"N": "1"}}}}

def value(name):
    return client.get_item(TableName="jobs", Key=key(name)).get("Item", {}).get("n", {}).get("N")

def refused(*operations):
    try:
        client.transact_write_items(TransactItems=list(operations))
    except ClientError as error:
        return error.response["Error"]["Code"] == "TransactionCanceledException"
    return False

NEW = {"ConditionExpression": "attribute_not_exists(pk)"}
client.transact_write_items(TransactItems=[put("a"), put("b")])
"""


def _run(body: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PRELUDE + body], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "operations",
    [
        'add("a"), put("c"), put("b", **NEW)',
        'put("b", **NEW), add("a"), put("c")',
        'put("c"), {"Delete": {"TableName": "jobs", "Key": key("a")}}, put("b", **NEW)',
    ],
)
def test_a_refused_transaction_leaves_everything_as_it_was(operations: str) -> None:
    _run(f"""
records = len(table().stream_shard.items)
assert refused({operations})
assert (value("a"), value("b"), value("c")) == ("1", "1", None)
assert len(table().stream_shard.items) == records
""")


def test_a_transaction_that_is_accepted_changes_every_item() -> None:
    _run("""
client.transact_write_items(TransactItems=[add("a"), put("c", **NEW)])
assert (value("a"), value("b"), value("c")) == ("2", "1", "1")
assert len(table().stream_shard.items) == 4
""")


def test_a_transaction_copies_no_table_and_puts_every_place_back() -> None:
    _run("""
from copy import deepcopy
assert deepcopy(table()) is table()
before = list(table().stream_shard.items)
client.put_item(TableName="jobs", Item={"pk": {"S": "a"}, "sk": {"S": "y"}, "n": {"N": "7"}})
second = {"Put": {"TableName": "jobs", "Item": {"pk": {"S": "a"}, "sk": {"S": "z"}}}}
assert refused(second, add("a"), put("d"), put("b", **NEW))
assert sorted(item["sk"]["S"] for item in client.scan(TableName="jobs")["Items"]) == ["x", "x", "y"]
assert len(table()) == 3 and len(table().items) == 2
assert table().stream_shard.items[:2] == before and len(table().stream_shard.items) == 3
""")


def test_an_item_is_answered_as_it_was_written() -> None:
    _run("""
item = {
    **key("all"),
    "n": {"N": "1.50"}, "b": {"B": b"\\x00\\xff"}, "yes": {"BOOL": False}, "none": {"NULL": True},
    "ss": {"SS": ["x", "y"]}, "ns": {"NS": ["1"]}, "bs": {"BS": [b"z"]}, "empty": {"S": ""},
    "l": {"L": [{"S": "x"}, {"M": {}}, {"L": []}]},
    "m": {"M": {"S": {"N": "2"}, "deep": {"M": {"x": {"BOOL": True}}}}},
}
client.put_item(TableName="jobs", Item=item)
assert client.get_item(TableName="jobs", Key=key("all"))["Item"] == item
found = client.scan(TableName="jobs")["Items"]
assert item in found and len(found) == 3
changed = client.update_item(
    TableName="jobs", Key=key("all"), UpdateExpression="SET n = :n", ReturnValues="UPDATED_NEW",
    ExpressionAttributeValues={":n": {"N": "2"}},
)
assert changed["Attributes"] == {"n": {"N": "2"}}
""")
