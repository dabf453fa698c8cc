"""The lanes of a stage beside the asynchronous endpoint: those that its configuration names."""

from functools import partial

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

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
from .job_places import JobStorage, OutcomeTopics
from .lambda_lane import InferenceFunction

__all__ = ["OtherLanes"]


class OtherLanes(Construct):
    """Defines what `config.lanes` names.

    Attributes:
        functions: What the dispatcher hands attempts to, by lane.
        models: Those of the endpoints.
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
        image_uri: str | None,
        storage: JobStorage,
        outcomes: OutcomeTopics,
    ) -> None:
        """Define the lanes.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage.
            bundle: The functions' code.
            release: The model that each lane serves first.
            image_uri: An image in ECR to use instead of building one.
            storage: Where models, jobs, requests and answers lie.
            outcomes: Told of answers and failures.
        """
        super().__init__(scope, construct_id)
        self._config, self._release = config, release
        self._image_uri, self._storage = image_uri, storage
        self._endpoint_lane = partial(
            EndpointLane, config=config, bundle=bundle, storage=storage, outcomes=outcomes
        )
        self.models: list[sagemaker.CfnModel] = []
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
                storage=storage,
                outcomes=outcomes,
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
        self.models.append(made.model)
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
        self.models.append(made.model)
        return made.function

    def _models(self, construct_id: str, target: ImageTarget) -> InferenceModels:
        return InferenceModels(
            self,
            construct_id,
            config=self._config,
            release=self._release,
            image=InferenceImage(self, f"{construct_id}Image", target=target, uri=self._image_uri),
            storage=self._storage,
            device="cuda" if target is ImageTarget.GPU else "cpu",
        )
