"""A dropped manifest becomes a folder of pictures; dropped again, it makes nothing anew."""

import hashlib
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from local.deploy import Deployment

STACK = "Nvfp4Ddim-local-batch"
BATCH = "batches/animals"
SECONDS = 300.0
GOOD_ROWS = 10
MANIFEST = "\n".join(
    [
        *(
            json.dumps({"id": f"fox-{n}", "prompt": f"fox {n}", "num_inference_steps": 2})
            for n in range(GOOD_ROWS)
        ),
        json.dumps({"id": "tall", "prompt": "fox", "height": 12}),
        '{"prompt": "an owl',
    ]
)


class Batches:
    """The deployed batch stack."""

    def __init__(self, aws: Callable[[str], Any], table: str) -> None:
        stack = aws("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}
        self.bucket = outputs["BatchBucketName"]
        self.machine = outputs["BatchMachineArn"]
        self._table = table
        self._aws = aws

    def drop(self, key: str, body: str) -> dict[str, Any]:
        """Put a manifest and wait for the end of the execution that it starts."""
        before = {each["executionArn"] for each in self._executions()}
        self._aws("s3").put_object(Bucket=self.bucket, Key=key, Body=body.encode())
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for each in self._executions():
                if each["executionArn"] not in before and each["status"] != "RUNNING":
                    described: dict[str, Any] = self._aws("stepfunctions").describe_execution(
                        executionArn=each["executionArn"]
                    )
                    return described
            time.sleep(0.3)
        pytest.fail("The batch did not end.")

    def _executions(self) -> list[dict[str, Any]]:
        client = self._aws("stepfunctions")
        found = client.list_executions(stateMachineArn=self.machine)["executions"]
        return list(found)

    def read(self, key: str) -> bytes:
        body: bytes = self._aws("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def lines(self, key: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.read(key).splitlines()]

    def jobs(self, owner: str) -> list[str]:
        """Ids of all jobs that an owner ever had, with the attempts that they took."""
        pages = self._aws("dynamodb").get_paginator("query")
        return [
            f"{item['pk']['S']} attempt {item['attempt']['N']}"
            for page in pages.paginate(
                TableName=self._table,
                IndexName="by-owner",
                KeyConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": owner}},
            )
            for item in page["Items"]
        ]


@pytest.fixture(scope="module")
def batches(deployment: Deployment, aws: Callable[[str], Any]) -> Batches:
    return Batches(aws, deployment.job_table)


def test_a_manifest_becomes_pictures_once(batches: Batches) -> None:
    first = batches.drop(f"{BATCH}/manifest.jsonl", MANIFEST)
    assert first["status"] == "SUCCEEDED", first
    errors = batches.lines(f"{BATCH}/errors.jsonl")
    assert [error["line"] for error in errors] == [11, 12]
    assert errors[0]["errors"][0]["field"] == "height"
    summary = json.loads(batches.read(f"{BATCH}/summary.json"))
    assert summary["states"] == {"succeeded": GOOD_ROWS, "invalid": 2}
    assert (summary["rows"], summary["reused"]) == (12, 0)
    assert summary["cost_usd"] > 0
    index = batches.lines(f"{BATCH}/index.jsonl")
    assert [entry["line"] for entry in index] == list(range(1, 13))
    page = batches.read(f"{BATCH}/index.html").decode()
    for number, entry in enumerate(index[:GOOD_ROWS]):
        (image,) = entry["images"]
        assert image["key"] == f"results/fox-{number}.png"
        assert f'src="{image["key"]}"' in page
        data = batches.read(f"{BATCH}/{image['key']}")
        assert hashlib.sha256(data).hexdigest() == image["sha256"]
        assert Image.open(io.BytesIO(data)).size == (64, 64)
    jobs = batches.jobs("batch:animals")
    assert len(jobs) == GOOD_ROWS

    second = batches.drop(f"{BATCH}/manifest.jsonl", MANIFEST)
    assert second["status"] == "SUCCEEDED", second
    assert batches.jobs("batch:animals") == jobs
    again = json.loads(batches.read(f"{BATCH}/summary.json"))
    assert (again["reused"], again["busy_seconds"]) == (GOOD_ROWS, 0)
    assert again["run"] != summary["run"]
    assert [entry["images"] for entry in batches.lines(f"{BATCH}/index.jsonl")] == [
        entry["images"] for entry in index
    ]


def test_a_manifest_without_a_usable_row_fails_and_says_why(batches: Batches) -> None:
    ended = batches.drop("batches/wrong/manifest.csv", "prompt,colour\nfox,red\n")
    assert (ended["status"], ended["error"]) == ("FAILED", "TooManyRowsFailed")
    (error,) = batches.lines("batches/wrong/errors.jsonl")
    assert error["line"] == 0
    assert "'colour'" in error["errors"][0]["message"]
    assert json.loads(batches.read("batches/wrong/summary.json"))["states"] == {"invalid": 1}


def test_a_csv_of_an_unknown_model_fails_row_by_row(batches: Batches) -> None:
    ended = batches.drop("batches/unknown/manifest.csv", "id,prompt,model\na,fox,none\n")
    assert ended["status"] == "FAILED"
    (entry,) = batches.lines("batches/unknown/index.jsonl")
    assert entry["state"] == "failed"
    assert "no model 'none'" in entry["error"]
