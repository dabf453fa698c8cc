"""`cdk destroy --all` leaves nothing behind. Runs last: it takes the session's stack down."""

from collections.abc import Callable
from typing import Any

import psutil
import pytest

from local.deploy import Deployment, destroy
from local.lifecycle import require_cloud, stop_cloud
from local.settings import LocalSettings

pytestmark = pytest.mark.e2e


def test_destroy_leaves_nothing(
    deployment: Deployment, local_settings: LocalSettings, aws: Callable[[str], Any]
) -> None:
    destroy(local_settings, report=lambda message: None)
    bootstrap_bucket = "cdk-hnb659fds-assets-"
    left = {
        "stacks": [
            each["StackName"]
            for each in aws("cloudformation").describe_stacks()["Stacks"]
            if each["StackName"].startswith("Nvfp4Ddim")
        ],
        "buckets": [
            each["Name"]
            for each in aws("s3").list_buckets()["Buckets"]
            if not each["Name"].startswith(bootstrap_bucket)
        ],
        "tables": aws("dynamodb").list_tables()["TableNames"],
        "functions": aws("lambda").list_functions()["Functions"],
        "mappings": aws("lambda").list_event_source_mappings()["EventSourceMappings"],
        "queues": aws("sqs").list_queues().get("QueueUrls", []),
        "topics": aws("sns").list_topics()["Topics"],
        "endpoints": aws("sagemaker").list_endpoints()["Endpoints"],
        "endpoint configs": aws("sagemaker").list_endpoint_configs()["EndpointConfigs"],
        "models": aws("sagemaker").list_models()["Models"],
        "apis": aws("apigateway").get_rest_apis()["items"],
        "keys": aws("apigateway").get_api_keys()["items"],
        "usage plans": aws("apigateway").get_usage_plans()["items"],
        "secrets": aws("secretsmanager").list_secrets()["SecretList"],
        "rules": aws("events").list_rules()["Rules"],
        "distributions": aws("cloudfront")
        .list_distributions()["DistributionList"]
        .get("Items", []),
        "alarms": aws("cloudwatch").describe_alarms()["MetricAlarms"],
    }
    assert {kind: found for kind, found in left.items() if found} == {}
    cloud = psutil.Process(require_cloud(local_settings).pid)
    servers = [
        child for child in cloud.children(recursive=True) if "nvfp4_ddim_server" in child.cmdline()
    ]
    assert servers == []


def test_down_ends_every_process(local_settings: LocalSettings) -> None:
    cloud = psutil.Process(require_cloud(local_settings).pid)
    processes = [cloud, *cloud.children(recursive=True)]
    assert stop_cloud(local_settings)
    assert not [each for each in processes if each.is_running() and each.status() != "zombie"]
    assert not local_settings.state_file.exists()
