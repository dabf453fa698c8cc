import pytest

from infra.errors import UnknownStageError
from infra.stages import ImageTarget, stage_config


def test_production_keeps_its_data() -> None:
    production = stage_config("prod")
    assert production.keep_data
    assert production.encrypt_table_with_own_key
    assert production.local_urls is None


def test_gpu_stages_name_a_host_image_with_a_recent_driver() -> None:
    for name in ("dev", "prod", "local"):
        capacity = stage_config(name).capacity
        assert (capacity.image_target is ImageTarget.GPU) == (
            capacity.inference_ami_version is not None
        )


def test_local_addresses_follow_the_first_port() -> None:
    urls = stage_config("local", local_port_base=5000).local_urls
    assert urls is not None
    assert (urls.api, urls.cdn) == ("http://127.0.0.1:5001", "http://127.0.0.1:5002")


def test_results_live_as_long_as_their_jobs() -> None:
    for name in ("dev", "prod"):
        times = stage_config(name).times
        assert times.results_days * 86_400 >= times.lifetime_seconds
        assert times.url_lifetime_seconds < times.lifetime_seconds
        assert times.deadline_seconds < times.lifetime_seconds


def test_listeners_cannot_starve_productions_other_functions() -> None:
    assert stage_config("prod").max_event_streams
    # A new account has a concurrency of ten, of which nothing can be set aside.
    assert stage_config("dev").max_event_streams is None


def test_an_unknown_stage_lists_those_there_are() -> None:
    with pytest.raises(UnknownStageError, match="dev, prod, local"):
        stage_config("staging")
