import pytest

from local.api_front.model import Resource
from local.api_front.routing import match_resource

PATHS = ("/", "/v1/jobs", "/v1/jobs/{job_id}", "/v1/jobs/latest", "/files/{path+}")
RESOURCES = tuple(Resource(path=path, methods={}) for path in PATHS)


@pytest.mark.parametrize(
    ("path", "resource", "parameters"),
    [
        ("/", "/", {}),
        ("/v1/jobs", "/v1/jobs", {}),
        ("/v1/jobs/", "/v1/jobs", {}),
        ("/v1/jobs/7", "/v1/jobs/{job_id}", {"job_id": "7"}),
        ("/v1/jobs/a%2Fb", "/v1/jobs/{job_id}", {"job_id": "a/b"}),
        ("/v1/jobs/latest", "/v1/jobs/latest", {}),
        ("/files/a/b", "/files/{path+}", {"path": "a/b"}),
    ],
)
def test_the_most_specific_resource_answers(
    path: str, resource: str, parameters: dict[str, str]
) -> None:
    found = match_resource(RESOURCES, path)
    assert found is not None
    assert (found[0].path, found[1]) == (resource, parameters)


@pytest.mark.parametrize("path", ["/v1", "/v1/jobs/7/8", "/files", "/V1/jobs"])
def test_other_paths_have_none(path: str) -> None:
    assert match_resource(RESOURCES, path) is None
