"""The model and the machines that run it."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.constructs.async_endpoint import VARIANT, AsyncEndpoint
from infra.constructs.dead_letters import publish_dead_letters
from infra.constructs.endpoint_scaling import EndpointScaling
from infra.constructs.inference_image import InferenceImage
from infra.constructs.job_places import OutcomeTopics
from infra.constructs.other_lanes import OtherLanes
from infra.constructs.published_files import FilePublisher, Pointer, PublishedFiles
from infra.constructs.queues import EncryptedTopic
from infra.constructs.spending_stop import SpendingStop
from infra.lambda_bundle import LambdaBundle
from infra.model_release import ModelRelease
from infra.stages import StageConfig
from nvfp4_ddim_contracts.manifest import MANIFEST_NAME

from .storage import StorageStack

__all__ = ["InferenceStack"]

_FOR_EVER = "public, max-age=31536000, immutable"


class InferenceStack(cdk.Stack):
    """Publishes the bundled model and serves it asynchronously.

    Attributes:
        endpoint: The endpoint.
        outcomes: Topics that are told how requests ended.
        spending_stop: Takes the machines away.
        functions: By lane, what the dispatcher hands jobs to; the asynchronous lane has none.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        storage: StorageStack,
        release: ModelRelease,
        bundle: LambdaBundle,
        image_uri: str | None = None,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(
            scope, construct_id, env=env, description="nvfp4-ddim: model and asynchronous endpoint"
        )
        published = PublishedFiles(
            self,
            "ModelFiles",
            publisher=FilePublisher(self, "Publisher", config=config, bundle=bundle),
            bucket=storage.artifacts,
            source=release.directory,
            prefix=release.prefix,
            family=release.family,
            cache_control=_FOR_EVER,
            last=MANIFEST_NAME,
            signing_key=storage.manifest_key,
            pointer=Pointer(key=release.pointer_key, body=release.live.model_dump_json()),
        )
        # By its ARN alone: no statement may flow back into the storage stack.
        key = kms.Key.from_key_arn(self, "Key", storage.key.key_arn)
        self.outcomes = OutcomeTopics(
            succeeded=EncryptedTopic(self, "Succeeded", key=key),
            failed=EncryptedTopic(self, "Failed", key=key),
            key=key,
        )
        self.endpoint = AsyncEndpoint(
            self,
            "Inference",
            config=config,
            release=release,
            image=InferenceImage(self, "Image", target=config.capacity.image_target, uri=image_uri),
            storage=storage.jobs,
            outcomes=self.outcomes,
        )
        lanes = OtherLanes(
            self,
            "Lanes",
            config=config,
            bundle=bundle,
            release=release,
            image_uri=image_uri,
            storage=storage.jobs,
            outcomes=self.outcomes,
        )
        for model in (*self.endpoint.models.values(), *lanes.models):
            model.node.add_dependency(published)
        self.functions = lanes.functions
        scaling = EndpointScaling(
            self,
            "Scaling",
            endpoint_arn=self.endpoint.endpoint.ref,
            endpoint_name=self.endpoint.endpoint.attr_endpoint_name,
            variant=VARIANT,
            capacity=config.capacity,
        )
        self.spending_stop = SpendingStop(
            self,
            "SpendingStop",
            config=config,
            bundle=bundle,
            table=storage.table,
            endpoints=(scaling.scaled, *lanes.scaled),
            key=key,
        )
        publish_dead_letters(self, {"stop": self.spending_stop.dead_letters})
        for name, value, description in (
            ("EndpointName", self.endpoint.endpoint.attr_endpoint_name, "The endpoint"),
            ("ScalableTargets", self.spending_stop.scalable_targets, "What a stop takes away"),
            ("StopTopicArn", self.spending_stop.topic.topic_arn, "Whatever it gets is a stop"),
        ):
            cdk.CfnOutput(self, name, value=value, description=description)
