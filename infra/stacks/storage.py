"""What outlives a release: buckets, table, key, people, and the CDN in front of them."""

import aws_cdk as cdk
from constructs import Construct

from infra.constructs.buckets import (
    ArtifactBucket,
    BatchBucket,
    ConsoleBucket,
    IncomingBucket,
    LogBucket,
    ResultsBucket,
)
from infra.constructs.cdn import Cdn
from infra.constructs.job_places import JobStorage
from infra.constructs.job_table import JobTable
from infra.constructs.manifest_key import ManifestKey
from infra.constructs.people import ConsoleClient, People
from infra.constructs.private_network import PrivateNetwork
from infra.constructs.published_files import FilePublisher
from infra.constructs.removal import EmptiedOnDelete
from infra.constructs.signing_key import SigningKey
from infra.constructs.stage_key import StageKey
from infra.lambda_bundle import LambdaBundle
from infra.stages import StageConfig

__all__ = ["StorageStack"]


class StorageStack(cdk.Stack):
    """Data at rest and its delivery.

    Attributes:
        key: Encrypts everything of the stage.
        artifacts: Model artifacts.
        results: Finished pictures and the traffic of asynchronous inference.
        batches: Manifests and what was made of them.
        incoming: Models to be quantised, and the reports on them.
        console: The console page.
        table: Jobs.
        jobs: The three places that those who work on jobs need.
        manifest_key: Signs the manifests of published artifacts.
        signing_key: Signs links to results.
        people: Who may sign in.
        console_client: The console, where people sign in.
        cdn: Serves console, results and artifacts.
        network: What functions and the endpoint run in, where the stage asks for it.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(
            scope,
            construct_id,
            env=env,
            description="nvfp4-ddim: storage and CDN",
            termination_protection=config.keep_data,
        )
        self.key = StageKey(self, "Key", config=config)
        logs = LogBucket(self, "Logs", config=config)
        self.artifacts = ArtifactBucket(self, "Artifacts", config=config, key=self.key, logs=logs)
        self.results = ResultsBucket(self, "Results", config=config, key=self.key, logs=logs)
        self.batches = BatchBucket(self, "Batches", config=config, key=self.key, logs=logs)
        self.incoming = IncomingBucket(self, "Incoming", config=config, key=self.key, logs=logs)
        self.console = ConsoleBucket(self, "Console", config=config, logs=logs)
        self.table = JobTable(self, "Jobs", config=config, key=self.key)
        self.jobs = JobStorage(table=self.table, artifacts=self.artifacts, results=self.results)
        self.manifest_key = ManifestKey(self, "ManifestKey", config=config)
        self.signing_key = SigningKey(
            self, "SigningKey", config=config, bundle=bundle, key=self.key
        )
        self.people = People(self, "People", config=config)
        self.cdn = Cdn(
            self,
            "Cdn",
            config=config,
            console=self.console,
            results=self.results,
            artifacts=self.artifacts,
            logs=logs,
            trusted=self.signing_key.key_group,
            sign_in_url=self.people.sign_in_url,
        )
        self.console_client = ConsoleClient(
            self, "ConsoleClient", people=self.people, console_url=f"{self.cdn.base_url}/"
        )
        self.network = (
            PrivateNetwork(self, "Network", config=config) if config.private_network else None
        )
        if not config.keep_data:
            publisher = FilePublisher(self, "Emptier", config=config, bundle=bundle)
            for bucket in (
                self.artifacts,
                self.results,
                self.batches,
                self.incoming,
                self.console,
                logs,
            ):
                emptied = EmptiedOnDelete(
                    self, f"{bucket.node.id}Emptied", bucket=bucket, publisher=publisher
                )
                # The CDN has to stop writing logs before the last look into the bucket.
                self.cdn.distribution.node.add_dependency(emptied)
        for name, value, description in (
            ("ArtifactBucketName", self.artifacts.bucket_name, "The model registry"),
            ("ManifestKeyArn", self.manifest_key.key_arn, "Signs what is published there"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)
