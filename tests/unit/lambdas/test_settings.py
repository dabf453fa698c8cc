import pytest
from pydantic import ValidationError

from lambdas.settings import (
    CreateJobSettings,
    GetJobSettings,
    ListModelsSettings,
    RecordResultSettings,
)

CDN = {
    "CDN_BASE_URL": "https://cdn.example",
    "CDN_PUBLIC_KEY_ID": "K1",
    "CDN_SIGNING_SECRET_ID": "secret",
}


def test_names_are_upper_case_and_others_are_ignored() -> None:
    settings = GetJobSettings.from_environment({"TABLE_NAME": "t", "PATH": "/bin", **CDN})
    assert settings.table_name == "t"
    assert settings.url_lifetime_seconds == 3600
    assert settings.allowed_origin == "*"
    with pytest.raises(ValidationError):
        settings.table_name = "other"


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValidationError, match="TABLE_NAME"):
        GetJobSettings.from_environment(CDN)
    with pytest.raises(ValidationError, match="ARTIFACT_BUCKET"):
        ListModelsSettings.from_environment({"ARTIFACT_BUCKET": ""})


@pytest.mark.parametrize("attempts", ["0", "11", "many"])
def test_numbers_are_bounded(attempts: str) -> None:
    environment = {"TABLE_NAME": "t", "RESULTS_BUCKET": "r", "MAX_ATTEMPTS": attempts}
    with pytest.raises(ValidationError, match="MAX_ATTEMPTS"):
        RecordResultSettings.from_environment(environment)


def test_a_job_ends_before_it_is_deleted() -> None:
    environment = {
        "TABLE_NAME": "t",
        "ARTIFACT_BUCKET": "a",
        "RESULTS_BUCKET": "r",
        "DEFAULT_MODEL": "m",
        **CDN,
    }
    CreateJobSettings.from_environment(environment)
    times = {"JOB_DEADLINE_SECONDS": "7200", "JOB_LIFETIME_SECONDS": "3600"}
    with pytest.raises(ValidationError, match="JOB_DEADLINE_SECONDS"):
        CreateJobSettings.from_environment({**environment, **times})
