from typing import Any

import pytest

from local.errors import ProvisioningError
from local.sagemaker.specification import endpoint_spec

SOURCE = {"S3Uri": "s3://b/models/", "S3DataType": "S3Prefix", "CompressionType": "None"}


class FakeSageMaker:
    def __init__(self, container: dict[str, Any]) -> None:
        self.container = container

    def describe_endpoint_config(self, **_: Any) -> Any:
        return {"ProductionVariants": [{"VariantName": "v", "ModelName": "m"}]}

    def describe_model(self, **_: Any) -> Any:
        return {"PrimaryContainer": self.container}


def test_a_mounted_model_has_a_place() -> None:
    container = {"ModelDataSource": {"S3DataSource": SOURCE}}
    spec = endpoint_spec(FakeSageMaker(container), "e", "c")
    assert spec.model_uri == "s3://b/models/"
    assert spec.output_uri is None


def test_a_container_may_fetch_its_model_itself() -> None:
    container = {"Environment": {"SERVER_MODEL_SOURCE": "registry"}}
    assert endpoint_spec(FakeSageMaker(container), "e", "c").model_uri is None


def test_one_that_neither_mounts_nor_fetches_is_refused() -> None:
    with pytest.raises(ProvisioningError, match="ModelDataSource"):
        endpoint_spec(FakeSageMaker({}), "e", "c")
