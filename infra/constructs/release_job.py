"""The job template that rolls a release out to devices, slowly, and stops where it fails."""

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iot as iot
from constructs import Construct

from infra.model_release import ModelRelease
from infra.paths import SELF_TESTS
from infra.stages import StageConfig
from nvfp4_ddim_contracts.edge import InstallJob, SelfTest

__all__ = ["ReleaseJob", "self_test_of"]

_FIRST_PER_MINUTE = 5
_ID_CHARACTERS = 12


class ReleaseJob(iot.CfnJobTemplate):
    """Installs the release of this stage; a new release is a new template."""

    def __init__(
        self, scope: Construct, construct_id: str, *, config: StageConfig, release: ModelRelease
    ) -> None:
        """Define the template."""
        live = release.live
        document = InstallJob(
            name=live.name,
            artifact_sha256=live.artifact_sha256,
            self_test=self_test_of(live.artifact_sha256),
        )
        rollout = config.rollout
        super().__init__(
            scope,
            construct_id,
            job_template_id=f"nvfp4-ddim-{config.name}-{live.artifact_sha256[:_ID_CHARACTERS]}",
            description=f"Installs {live.name} {live.artifact_sha256}",
            document=document.model_dump_json(),
            job_executions_rollout_config={
                "MaximumPerMinute": rollout.devices_per_minute,
                "ExponentialRolloutRate": {
                    "BaseRatePerMinute": min(_FIRST_PER_MINUTE, rollout.devices_per_minute),
                    "IncrementFactor": 2,
                    "RateIncreaseCriteria": {
                        "NumberOfSucceededThings": rollout.successes_before_faster
                    },
                },
            },
            abort_config={
                "CriteriaList": [
                    {
                        "Action": "CANCEL",
                        "FailureType": failure,
                        "MinNumberOfExecutedThings": rollout.abort_after_devices,
                        "ThresholdPercentage": rollout.abort_percentage,
                    }
                    for failure in ("FAILED", "REJECTED", "TIMED_OUT")
                ]
            },
            timeout_config={"InProgressTimeoutInMinutes": rollout.timeout_minutes},
            job_executions_retry_config=iot.CfnJobTemplate.JobExecutionsRetryConfigProperty(
                retry_criteria_list=[
                    iot.CfnJobTemplate.RetryCriteriaProperty(
                        failure_type="TIMED_OUT", number_of_retries=2
                    )
                ]
            ),
            tags=[cdk.CfnTag(key="artifact", value=live.artifact_sha256)],
        )


def self_test_of(artifact_sha256: str, directory: Path = SELF_TESTS) -> SelfTest:
    """What a release has to paint: its own picture if there is one, else any.

    `nvfp4-ddim edge reference` makes such a file, named by the artifact.
    """
    path = directory / f"{artifact_sha256}.json"
    return SelfTest.model_validate_json(path.read_bytes()) if path.is_file() else SelfTest()
