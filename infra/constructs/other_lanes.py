"""The lanes of a stage beside the asynchronous endpoint: those that its configuration names."""

from functools import partial

from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct, IDependable

from infra.lambda_bundle import LambdaBundle
from infra.lane_options import RealtimeLane, ServerlessLane
from infra.model_release import ModelRelease
from infra.stages import ImageTarget, StageConfig
from nvfp4_ddim_contracts import Lane

from .endpoint_lane import (
    EndpointLane,
    realtime_variant,
    scale_with_invocations,
    serverless_variant,
)
from .endpoint_scaling import ScaledEndpoint
from .inference_image import InferenceImage
from .inference_model import InferenceModels
from .job_table import JobTable
from .lambda_lane import InferenceFunction

__all__ = ["OtherLanes"]


class OtherLanes(Construct):
    """Defines what `config.lanes` names.

    Attributes:
        functions: What the dispatcher hands attempts to, by lane.
        scaled: Endpoints whose machines are paid while they stand.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        bundle: LambdaBundle,
        release: ModelRelease,
        published: IDependable,
        image_uri: str | None,
        artifacts: s3.IBucket,
        results: s3.IBucket,
        table: JobTable,
        key: kms.IKey,
        succeeded: sns.ITopic,
        failed: sns.ITopic,
    ) -> None:
        """Define the lanes.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            bundle: The functions' code.
            release: The model that each lane serves first.
            published: What puts it into `artifacts`.
            image_uri: An image in ECR to use instead of building one.
            artifacts: The model registry.
            results: Where requests are read and answers written.
            table: The job table.
            key: Encrypts the topics.
            succeeded: Topic for answers.
            failed: Topic for failures.
        """
        super().__init__(scope, construct_id)
        self._config, self._release, self._published = config, release, published
        self._image_uri, self._table = image_uri, table
        self._artifacts, self._results = artifacts, results
        self._endpoint_lane = partial(
            EndpointLane,
            config=config,
            bundle=bundle,
            results=results,
            table=table,
            key=key,
            succeeded=succeeded,
            failed=failed,
        )
        self.functions: dict[Lane, lambda_.IFunction] = {}
        self.scaled: list[ScaledEndpoint] = []
        if lane := config.lanes.function:
            self.functions[Lane.LAMBDA] = InferenceFunction(
                self,
                "Function",
                config=config,
                lane=lane,
                release=release,
                image_uri=image_uri,
                artifacts=artifacts,
                results=results,
                table=table,
                key=key,
                succeeded=succeeded,
                failed=failed,
            )
        if realtime := config.lanes.realtime:
            self.functions[Lane.REALTIME] = self._realtime(realtime)
        if serverless := config.lanes.serverless:
            self.functions[Lane.SERVERLESS] = self._serverless(serverless)

    def _realtime(self, lane: RealtimeLane) -> lambda_.IFunction:
        made = self._endpoint_lane(
            self,
            "Realtime",
            models=self._models("RealtimeModels", self._config.capacity.image_target),
            mounted=True,
            variant=partial(realtime_variant, lane, self._config),
        )
        made.model.node.add_dependency(self._published)
        self.scaled.append(scale_with_invocations(made, lane))
        return made.function

    def _serverless(self, lane: ServerlessLane) -> lambda_.IFunction:
        made = self._endpoint_lane(
            self,
            "Serverless",
            models=self._models("ServerlessModels", ImageTarget.CPU),
            # SageMaker mounts no uncompressed model for a serverless endpoint.
            mounted=False,
            variant=partial(serverless_variant, lane),
        )
        made.model.node.add_dependency(self._published)
        return made.function

    def _models(self, construct_id: str, target: ImageTarget) -> InferenceModels:
        return InferenceModels(
            self,
            construct_id,
            config=self._config,
            release=self._release,
            image=InferenceImage(self, f"{construct_id}Image", target=target, uri=self._image_uri),
            artifacts=self._artifacts,
            results=self._results,
            table=self._table,
            device="cuda" if target is ImageTarget.GPU else "cpu",
        )
