from pathlib import Path

import pytest
from pydantic import ValidationError

from nvfp4_ddim_server.errors import SettingsError
from nvfp4_ddim_server.settings import ServerSettings


def test_defaults_are_sagemakers() -> None:
    settings = ServerSettings.from_environment({})
    assert settings.port == 8080
    assert settings.model_dir == Path("/opt/ml/model")
    assert settings.max_batch == 1
    assert settings.job_table_name is None


def test_reads_every_variable() -> None:
    settings = ServerSettings.from_environment(
        {
            "SM_MODEL_DIR": "/models/m",
            "MODEL_NAME": "emoji-64",
            "SERVER_HOST": "127.0.0.1",
            "SERVER_PORT": "9000",
            "SERVER_DEVICE": "cuda",
            "SERVER_INSTANCE_TYPE": "ml.g6.xlarge",
            "SERVER_QUEUE_SIZE": "3",
            "SERVER_MAX_BATCH": "4",
            "SERVER_MAX_STEPS": "60",
            "SERVER_MAX_PIXELS": "4096",
            "SERVER_MAX_BODY_BYTES": "2048",
            "SERVER_REQUEST_TIMEOUT_SECONDS": "55.5",
            "SERVER_DRAIN_SECONDS": "8",
            "JOB_TABLE_NAME": "jobs",
            "LOG_LEVEL": "DEBUG",
        }
    )
    assert settings == ServerSettings(
        model_dir=Path("/models/m"),
        model_name="emoji-64",
        host="127.0.0.1",
        port=9000,
        device="cuda",
        instance_type="ml.g6.xlarge",
        queue_size=3,
        max_batch=4,
        max_steps=60,
        max_pixels=4096,
        max_body_bytes=2048,
        request_timeout_seconds=55.5,
        drain_seconds=8,
        job_table_name="jobs",
        log_level="DEBUG",
    )


def test_empty_variable_means_the_default() -> None:
    assert ServerSettings.from_environment({"JOB_TABLE_NAME": ""}).job_table_name is None


def test_names_every_variable_that_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"SERVER_PORT='0'.*SERVER_MAX_BATCH='many'"):
        ServerSettings.from_environment({"SERVER_PORT": "0", "SERVER_MAX_BATCH": "many"})


def test_is_frozen() -> None:
    with pytest.raises(ValidationError):
        ServerSettings().port = 1
