"""The functions of a quantisation: prepare, publish, report."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from lambdas.settings import (
    PrepareQuantizationSettings,
    PublishQuantizationSettings,
    ReportQuantizationSettings,
    Settings,
)
from nvfp4_ddim_contracts.incoming import DRAFTS_PREFIX, INCOMING_PREFIX, REPORTS_PREFIX
from nvfp4_ddim_contracts.keys import MODELS_PREFIX, PUBLIC_KEYS_PREFIX
from nvfp4_ddim_contracts.table import STOP_PARTITION

from .grants import allow, list_objects, read_objects, write_objects
from .job_table import JobTable
from .python_function import FunctionParts, PythonFunction

__all__ = ["QuantizationFunctions"]


class QuantizationFunctions(Construct):
    """What the state machine calls.

    Attributes:
        prepare: Looks at a dropped model.
        publish: Makes a staged release of what the job left.
        report: Writes down how it went.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        parts: FunctionParts,
        table: JobTable,
        incoming: s3.IBucket,
        artifacts: s3.IBucket,
        manifest_key: kms.IKey,
    ) -> None:
        """Define the functions.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            parts: What the functions have in common.
            table: Says whether the service is stopped.
            incoming: Dropped models, jobs' output, reports.
            artifacts: The model registry.
            manifest_key: Signs manifests.
        """
        super().__init__(scope, construct_id)
        self._parts = parts

        self.prepare = self._function("prepare_quantization", PrepareQuantizationSettings)
        read_objects(self.prepare, incoming, f"{INCOMING_PREFIX}*")
        read_objects(self.prepare, incoming, f"{REPORTS_PREFIX}*")
        list_objects(self.prepare, incoming, INCOMING_PREFIX)
        list_objects(self.prepare, incoming, REPORTS_PREFIX)
        write_objects(self.prepare, incoming, f"{DRAFTS_PREFIX}*")
        table.allow(self.prepare, "GetItem", partition=STOP_PARTITION)
        read_objects(self.prepare, artifacts, f"{MODELS_PREFIX}*")
        list_objects(self.prepare, artifacts, MODELS_PREFIX)

        self.publish = self._function(
            "publish_quantization",
            PublishQuantizationSettings,
            # It copies gigabytes: memory buys a share of the network.
            memory_mb=2048,
            timeout=cdk.Duration.minutes(15),
        )
        read_objects(self.publish, incoming, f"{DRAFTS_PREFIX}*")
        list_objects(self.publish, incoming, DRAFTS_PREFIX)
        write_objects(self.publish, incoming, f"{REPORTS_PREFIX}*")
        read_objects(self.publish, artifacts, f"{MODELS_PREFIX}*")
        list_objects(self.publish, artifacts, MODELS_PREFIX)
        write_objects(self.publish, artifacts, f"{MODELS_PREFIX}*")
        write_objects(self.publish, artifacts, f"{PUBLIC_KEYS_PREFIX}*")
        allow(self.publish, ["kms:GetPublicKey", "kms:Sign"], [manifest_key.key_arn])

        self.report = self._function("report_quantization", ReportQuantizationSettings)
        write_objects(self.report, incoming, f"{REPORTS_PREFIX}*")

    def _function(
        self,
        handler: str,
        settings: type[Settings],
        *,
        memory_mb: int = 512,
        timeout: cdk.Duration | None = None,
    ) -> PythonFunction:
        return PythonFunction(
            self,
            handler.removesuffix("_quantization").title(),
            config=self._parts.config,
            bundle=self._parts.bundle,
            handler=handler,
            timeout=timeout or cdk.Duration.minutes(2),
            memory_mb=memory_mb,
            environment=self._parts.environment(settings),
        )
