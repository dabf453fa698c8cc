"""The books: what the table, its stream, the bucket and the queues say in the end."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local.clients import local_client
from local.settings import LocalSettings
from nvfp4_ddim_contracts import JobState
from nvfp4_ddim_contracts.keys import RESULTS_PREFIX
from nvfp4_ddim_contracts.table import PARTITION_KEY, job_partition

__all__ = ["Ledger", "read_ledger"]


@dataclass(frozen=True)
class Ledger:
    """Of all jobs.

    Attributes:
        ends: How often each job came to an end, by id, from the table's stream.
        pictures: Pictures in the results bucket.
        dead_letters: Messages in dead-letter queues.
    """

    ends: Counter[str]
    pictures: int
    dead_letters: int


def read_ledger(settings: LocalSettings, table: str) -> Ledger:
    """Read what is left when all is over."""
    ends: Counter[str] = Counter()
    for record in _stream(settings, table):
        before, after = (record["dynamodb"].get(name, {}) for name in ("OldImage", "NewImage"))
        if _is_terminal(after) and not _is_terminal(before):
            ends[after[PARTITION_KEY]["S"]] += 1
    return Ledger(
        ends=Counter({key.removeprefix(job_partition("")): count for key, count in ends.items()}),
        pictures=_pictures(settings),
        dead_letters=_dead_letters(settings),
    )


def _is_terminal(image: dict[str, Any]) -> bool:
    state = image.get("state", {}).get("S")
    return state is not None and JobState(state).is_terminal


def _stream(settings: LocalSettings, table: str) -> Iterator[dict[str, Any]]:
    arn = local_client("dynamodb", settings.aws_url).describe_table(TableName=table)["Table"][
        "LatestStreamArn"
    ]
    streams = local_client("dynamodbstreams", settings.aws_url)
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        iterator = streams.get_shard_iterator(
            StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator, Limit=1_000)
            yield from page["Records"]
            # An open shard has no last page: an empty one is the end.
            iterator = page.get("NextShardIterator") if page["Records"] else None


def _pictures(settings: LocalSettings) -> int:
    s3 = local_client("s3", settings.aws_url)
    return sum(
        len(page.get("Contents", []))
        for bucket in s3.list_buckets()["Buckets"]
        for page in s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket["Name"], Prefix=RESULTS_PREFIX
        )
    )


def _dead_letters(settings: LocalSettings) -> int:
    sqs = local_client("sqs", settings.aws_url)
    urls = sqs.list_queues().get("QueueUrls", [])
    return sum(
        int(
            sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])[
                "Attributes"
            ]["ApproximateNumberOfMessages"]
        )
        for url in urls
        if "DeadLetters" in url
    )
