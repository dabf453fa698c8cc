from pathlib import Path

import pytest


def test_a_finding_that_nobody_accepted_ends_the_synthesis(tmp_path: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_sqs as sqs

    from infra.nag import check_best_practices

    app = cdk.App(outdir=str(tmp_path))
    sqs.Queue(cdk.Stack(app, "Careless"), "WithoutDeadLetters")
    check_best_practices(app)
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert "AwsSolutions-SQS3" in (tmp_path / "validation-report.json").read_text()


def test_an_accepted_finding_does_not(tmp_path: Path) -> None:
    import aws_cdk as cdk
    from aws_cdk import aws_sqs as sqs

    from infra.nag import accept_finding, check_best_practices

    app = cdk.App(outdir=str(tmp_path))
    queue = sqs.Queue(cdk.Stack(app, "Careful"), "DeadLetters", enforce_ssl=True)
    accept_finding(queue, "It is a dead-letter queue itself.", "SQS3")
    check_best_practices(app)
    app.synth()
