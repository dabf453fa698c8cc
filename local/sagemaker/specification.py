"""From an endpoint's configuration and model, as deployed, to what runs here."""

from typing import Any

from botocore.exceptions import ClientError

from local.errors import ProvisioningError

from .endpoint import EndpointSpec

__all__ = ["endpoint_spec"]


def endpoint_spec(sagemaker: Any, endpoint_name: str, config_name: str) -> EndpointSpec:
    """Resolve configuration, variant and model.

    Args:
        sagemaker: boto3 client of SageMaker.
        endpoint_name: The endpoint.
        config_name: Its endpoint configuration.

    Raises:
        ProvisioningError: A part is missing, or is not one the local cloud can run.
    """
    try:
        config = sagemaker.describe_endpoint_config(EndpointConfigName=config_name)
        variants = config["ProductionVariants"]
        if len(variants) != 1:
            raise ProvisioningError("An endpoint with one production variant is provided locally.")
        model = sagemaker.describe_model(ModelName=variants[0]["ModelName"])
    except ClientError as error:
        raise ProvisioningError(f"Endpoint {endpoint_name}: {error}") from error
    container = model["PrimaryContainer"]
    asynchronous = config.get("AsyncInferenceConfig") or {}
    output = asynchronous.get("OutputConfig", {})
    notify = output.get("NotificationConfig", {})
    client = asynchronous.get("ClientConfig", {})
    return EndpointSpec(
        name=endpoint_name,
        variant=variants[0]["VariantName"],
        model_uri=_model_uri(container),
        environment={name: str(value) for name, value in container.get("Environment", {}).items()},
        startup_seconds=float(
            variants[0].get("ContainerStartupHealthCheckTimeoutInSeconds") or 600
        ),
        concurrency=int(client.get("MaxConcurrentInvocationsPerInstance", 1)),
        output_uri=output.get("S3OutputPath"),
        failure_uri=output.get("S3FailurePath"),
        success_topic=notify.get("SuccessTopic"),
        error_topic=notify.get("ErrorTopic"),
        include_response_in=frozenset(notify.get("IncludeInferenceResponseIn", [])),
    )


def _model_uri(container: dict[str, Any]) -> str | None:
    if container.get("Environment", {}).get("SERVER_MODEL_SOURCE") == "registry":
        return None
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if not source or source.get("S3DataType") != "S3Prefix":
        raise ProvisioningError("A model from ModelDataSource with S3Prefix is provided locally.")
    if source.get("CompressionType", "None") != "None" or not source["S3Uri"].endswith("/"):
        raise ProvisioningError("ModelDataSource wants CompressionType None and a URI ending in /.")
    return str(source["S3Uri"])
