"""The supervising process: wires every part of the local cloud and runs until it is told to end."""

import json
import logging
import os
import signal
import threading
from logging.handlers import RotatingFileHandler

from .api_front import ApiFront
from .cdn_front import DistributionRegistry, create_cdn_app
from .cloudformation import (
    install_buckets,
    install_change_sets,
    install_engine,
    register_adapters,
)
from .cloudformation.api_gateway import api_gateway_adapters
from .cloudformation.budgets import BudgetAdapter
from .cloudformation.cloudfront import cloudfront_adapters
from .cloudformation.cloudwatch import cloudwatch_adapters
from .cloudformation.cognito import cognito_adapters
from .cloudformation.custom_resources import CustomResource, ResponseInbox
from .cloudformation.functions import EventInvokeConfig
from .cloudformation.iot import iot_adapters
from .cloudformation.sagemaker import EndpointAdapter
from .cloudformation.scaling import scaling_adapters
from .cloudformation.simple import simple_adapters
from .cloudformation.state_machines import StateMachineAdapter
from .cloudformation.wafv2 import waf_adapters
from .environment import require_isolated
from .events import EventDispatcher
from .faults import FaultInjector
from .iot import TemplateRegistry, install_jobs
from .lambda_runtime import LambdaRuntime, MotoFunctions, PackageStore
from .moto_server import create_moto_server
from .sagemaker import JobsApi, SageMakerService
from .settings import LocalSettings
from .sign_in_front import create_sign_in_app
from .stepfunctions import install_state_machines
from .supervisor import LoopbackServer

__all__ = ["LocalCloud", "run_cloud"]


class LocalCloud:
    """Everything that runs in the supervising process."""

    def __init__(self, settings: LocalSettings) -> None:
        """Bind the ports and put the local parts in the place of moto's.

        Raises:
            CloudStartError: A port is taken.
        """
        self._settings = settings
        faults = FaultInjector(settings)
        packages = PackageStore(settings.state_directory / "functions")
        self._runtime = LambdaRuntime(settings, packages)
        functions = MotoFunctions(self._runtime, settings.aws_url)
        functions.install()
        self.sagemaker = SageMakerService(settings, faults)
        self.sagemaker.install()
        self._jobs = JobsApi(settings)
        self._jobs.install()
        self._events = EventDispatcher(functions, settings.aws_url, faults)
        self._events.install()
        install_state_machines(settings.aws_url)
        registry = DistributionRegistry()
        provisioning = TemplateRegistry()
        self._inbox = ResponseInbox()
        front = ApiFront(functions, settings.aws_url)
        install_engine(on_change=front.invalidate)
        install_buckets()
        install_change_sets()
        register_adapters(
            [
                *simple_adapters(settings.aws_url),
                *api_gateway_adapters(settings.aws_url),
                *cloudfront_adapters(settings.aws_url, registry, settings.cdn_host),
                *cognito_adapters(settings.aws_url),
                *iot_adapters(settings.aws_url, provisioning),
                *scaling_adapters(settings.aws_url),
                *waf_adapters(settings.aws_url),
                *cloudwatch_adapters(settings.aws_url),
                BudgetAdapter(settings.aws_url),
                EventInvokeConfig(settings.aws_url),
                EndpointAdapter(settings.aws_url, self.sagemaker),
                StateMachineAdapter(settings.aws_url),
                CustomResource(functions.invoke, self._inbox),
            ]
        )
        cdn = create_cdn_app(registry, settings.aws_url)
        self.servers = (
            create_moto_server(settings, faults, install_jobs(), provisioning),
            LoopbackServer("api", settings.api_port, front.application()),
            LoopbackServer("cdn", settings.cdn_port, cdn),
            LoopbackServer("sign-in", settings.sign_in_port, create_sign_in_app(settings.aws_url)),
        )

    def start(self) -> None:
        """Begin to serve."""
        for server in self.servers:
            server.start()
        self._events.start()

    def stop(self) -> None:
        """End every process, poller and server."""
        self._events.stop()
        self.sagemaker.stop()
        self._jobs.stop()
        self._runtime.stop()
        for server in self.servers:
            server.stop()
        self._inbox.stop()


def run_cloud(settings: LocalSettings) -> None:
    """Run until SIGTERM or SIGINT; the state file exists exactly while the cloud serves.

    Raises:
        UnsafeEnvironmentError: This process's own environment could reach a real account.
        CloudStartError: A port is taken.
    """
    require_isolated(os.environ)
    _log_to(settings)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    cloud = LocalCloud(settings)
    cloud.start()
    state = {"pid": os.getpid(), "port_base": settings.port_base}
    settings.state_file.write_text(json.dumps(state))
    try:
        ended.wait()
    finally:
        settings.state_file.unlink(missing_ok=True)
        cloud.stop()


def _log_to(settings: LocalSettings) -> None:
    settings.log_directory.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        settings.log_directory / "cloud.log", maxBytes=5_000_000, backupCount=1
    )
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "httpx", "werkzeug", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Its errors repeat the whole program; an execution's history says what failed.
    logging.getLogger("moto.stepfunctions.parser").setLevel(logging.CRITICAL)
