"""Entry point of the CDK app: `cdk deploy --all -c stage=dev`.

Context (`-c name=value`):
    stage               dev (default), prod or local
    imageUri            an inference image in ECR to use instead of building inference/Dockerfile
    cdnDomain           a domain of one's own for the CDN, with
    cdnCertificateArn   the ARN of its ACM certificate in us-east-1
    alarmMail           who gets alarms and the budget's warnings
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk

from infra.lambda_bundle import AWS_LAMBDA, HOST, build_bundle
from infra.service import add_service
from infra.stages import DEFAULT_LOCAL_PORT_BASE, CustomDomain, StageConfig, stage_config

__all__ = ["main"]


def main() -> None:
    """Synthesise the stage that the context chooses."""
    # The CLI hands over cdk.json's feature flags; `python app.py` alone has to read them itself.
    settings = json.loads((Path(__file__).parent / "cdk.json").read_text())
    app = cdk.App(context=settings["context"])
    config = _config(app)
    account, region = os.environ.get("CDK_DEFAULT_ACCOUNT"), os.environ.get("CDK_DEFAULT_REGION")
    add_service(
        app,
        config=config,
        bundle=build_bundle(HOST if config.lambdas_run_on_host else AWS_LAMBDA),
        image_uri=app.node.try_get_context("imageUri"),
        env=cdk.Environment(account=account, region=region),
    )
    app.synth()


def _config(app: cdk.App) -> StageConfig:
    config = stage_config(
        app.node.try_get_context("stage") or "dev",
        local_port_base=int(os.environ.get("NVFP4_LOCAL_PORT_BASE", DEFAULT_LOCAL_PORT_BASE)),
    )
    mail = app.node.try_get_context("alarmMail")
    config = replace(config, spending=replace(config.spending, mail=mail))
    name = app.node.try_get_context("cdnDomain")
    certificate = app.node.try_get_context("cdnCertificateArn")
    if (name is None) != (certificate is None):
        raise SystemExit("cdnDomain and cdnCertificateArn belong together: give both or neither.")
    return (
        replace(config, domain=CustomDomain(name=name, certificate_arn=certificate))
        if name
        else config
    )


if __name__ == "__main__":
    main()
