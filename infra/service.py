"""The whole service: its stacks, in the order of their dependence."""

from dataclasses import dataclass

import aws_cdk as cdk

from .lambda_bundle import LambdaBundle
from .model_release import read_release
from .nag import check_best_practices
from .stacks.api import ApiStack
from .stacks.batch import BatchStack
from .stacks.edge import EdgeStack
from .stacks.inference import InferenceStack
from .stacks.observability import ObservabilityStack
from .stacks.quantization import QuantizationStack
from .stacks.storage import StorageStack
from .stages import SERVICE_TAG, StageConfig

__all__ = ["Service", "add_service"]


@dataclass(frozen=True)
class Service:
    """The stacks of one stage."""

    storage: StorageStack
    inference: InferenceStack
    batch: BatchStack
    quantization: QuantizationStack
    api: ApiStack
    observability: ObservabilityStack
    edge: EdgeStack


def add_service(
    app: cdk.App,
    *,
    config: StageConfig,
    bundle: LambdaBundle,
    image_uri: str | None = None,
    env: cdk.Environment | None = None,
) -> Service:
    """Add the stacks of one stage to an app, and, where it goes to AWS, cdk-nag's checks.

    A finding that nobody accepted on its resource ends the synthesis.

    Args:
        app: The app.
        config: The stage.
        bundle: The Lambdas' code.
        image_uri: An inference image in ECR to use instead of building one.
        env: Account and region; None leaves them to the deployment.

    Returns:
        The stacks.

    Raises:
        ModelArtifactError: The stage's model is missing or incomplete.
    """
    release = read_release(config.model_directory, config.model_name)
    prefix = f"Nvfp4Ddim-{config.name}"
    storage = StorageStack(app, f"{prefix}-storage", config=config, bundle=bundle, env=env)
    inference = InferenceStack(
        app,
        f"{prefix}-inference",
        config=config,
        storage=storage,
        release=release,
        bundle=bundle,
        image_uri=image_uri,
        env=env,
    )
    batch = BatchStack(
        app, f"{prefix}-batch", config=config, storage=storage, bundle=bundle, env=env
    )
    quantization = QuantizationStack(
        app,
        f"{prefix}-quantization",
        config=config,
        storage=storage,
        bundle=bundle,
        image_uri=image_uri,
        env=env,
    )
    api = ApiStack(
        app,
        f"{prefix}-api",
        config=config,
        storage=storage,
        inference=inference,
        batch=batch,
        bundle=bundle,
        env=env,
    )
    edge = EdgeStack(
        app, f"{prefix}-edge", config=config, storage=storage, release=release, env=env
    )
    # Devices are told of a release once it is published.
    edge.add_dependency(inference)
    observability = ObservabilityStack(
        app,
        f"{prefix}-observability",
        config=config,
        storage=storage,
        inference=inference,
        batch=batch,
        quantization=quantization,
        api=api,
        env=env,
    )
    if storage.network:
        storage.network.enclose_functions(api)
        storage.network.enclose_functions(batch)
        storage.network.enclose_functions(quantization)
        storage.network.enclose_models(inference.endpoint.models.values(), inference.endpoint.role)
    cdk.Tags.of(app).add(*SERVICE_TAG)
    cdk.Tags.of(app).add("stage", config.name)
    if config.local_urls is None:
        check_best_practices(app)
    return Service(
        storage=storage,
        inference=inference,
        batch=batch,
        quantization=quantization,
        api=api,
        observability=observability,
        edge=edge,
    )
