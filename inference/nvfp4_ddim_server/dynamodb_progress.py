"""Progress into the DynamoDB job table. The only file of the server that knows AWS."""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nvfp4_ddim_contracts.table import progress_update

from .errors import StartError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["DynamoDBProgress"]

logger = logging.getLogger(__name__)


class DynamoDBProgress:
    """A sink that updates a job's item while the job is queued or running."""

    def __init__(self, client: "DynamoDBClient", table_name: str) -> None:
        """Report into `table_name` through a low-level client, which is safe across threads."""
        self._client = client
        self._table_name = table_name

    @classmethod
    def connect(cls, table_name: str) -> "DynamoDBProgress":
        """Make a client from the process's AWS configuration.

        Raises:
            StartError: boto3 is not installed, or no region is configured.
        """
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as error:
            raise StartError(
                "JOB_TABLE_NAME is set, but boto3 is not installed: "
                "pip install 'nvfp4-ddim-optimizer[server,aws]', or unset JOB_TABLE_NAME."
            ) from error
        # A write that takes longer is out of date anyway.
        config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 2})
        try:
            return cls(boto3.client("dynamodb", config=config), table_name)
        except BotoCoreError as error:
            raise StartError(f"JOB_TABLE_NAME is set, but AWS is not usable: {error}") from error

    def report(self, job_id: str, step: int, total_steps: int) -> bool:
        """Write the progress; whether the job still wants its result."""
        from botocore.exceptions import BotoCoreError, ClientError

        now = datetime.now(UTC).isoformat()
        try:
            self._client.update_item(
                TableName=self._table_name, **progress_update(job_id, step, total_steps, now)
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        except (BotoCoreError, ClientError) as error:
            logger.warning(
                "progress not written", extra={"fields": {"job_id": job_id, "error": str(error)}}
            )
        return True
