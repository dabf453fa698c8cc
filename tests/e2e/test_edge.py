"""From the published release to the device and back: pull, job, update, refusal."""

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lambdas.adapters.kms_signer import KmsSigner
from lambdas.domain.release_signing import ReleaseSigning
from local.deploy import Deployment
from local.environment import isolated_environment
from local.settings import LocalSettings
from nvfp4_ddim_contracts.edge import InstallJob, SelfTest
from nvfp4_ddim_optimizer.artifacts import artifact_sha256
from nvfp4_ddim_optimizer.sources import bundled_models

pytestmark = pytest.mark.e2e

MODEL = "emoji-64"
PROJECT = Path(__file__).parents[2]
AwsClients = Callable[[str], Any]


@dataclass(frozen=True)
class Device:
    """A provisioned device, and its command line."""

    thing: str
    root: Path
    cdn_url: str
    environment: dict[str, str]
    aws: AwsClients

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from nvfp4_ddim_optimizer.cli import main; main()"]
        return subprocess.run(
            [*command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def update(self) -> "subprocess.CompletedProcess[str]":
        return self.run(
            "edge", "run", "--thing", self.thing, "--cdn", self.cdn_url,
            "--root", str(self.root), "--once",
        )  # fmt: skip

    def current(self) -> str:
        return artifact_sha256(self.root / "current")

    def execution(self, job_id: str) -> dict[str, Any]:
        found = self.aws("iot").describe_job_execution(jobId=job_id, thingName=self.thing)
        execution: dict[str, Any] = found["execution"]
        return execution

    def shadow(self) -> dict[str, Any]:
        answer = self.aws("iot-data").get_thing_shadow(
            thingName=self.thing, shadowName="nvfp4-ddim"
        )
        reported: dict[str, Any] = json.loads(answer["payload"].read())["state"]["reported"]
        return reported


@pytest.fixture(scope="module")
def outputs(deployment: Deployment, aws: AwsClients) -> dict[str, str]:
    stack = aws("cloudformation").describe_stacks(StackName="Nvfp4Ddim-local-edge")["Stacks"][0]
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


@pytest.fixture(scope="module")
def device(
    deployment: Deployment,
    outputs: dict[str, str],
    aws: AwsClients,
    local_settings: LocalSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Device]:
    """A device that joined by the deployed provisioning template; it leaves at the end, since AWS
    IoT deletes no policy that a device uses.
    """
    iot = aws("iot")
    template = iot.describe_provisioning_template(templateName=outputs["ProvisioningTemplateName"])
    certificate = iot.create_keys_and_certificate(setAsActive=False)
    made = iot.register_thing(
        templateBody=template["templateBody"],
        parameters={
            "SerialNumber": "0042",
            "Capability": "cpu-x86",
            "AWS::IoT::Certificate::Id": certificate["certificateId"],
        },
    )
    home = tmp_path_factory.mktemp("device")
    configuration = json.loads(template["templateBody"])["DeviceConfiguration"]
    assert configuration == {"cdn_url": deployment.cdn_url, "model": MODEL}
    environment = isolated_environment(
        local_settings, extra={"XDG_CONFIG_HOME": str(home / "config")}
    )
    thing = made["resourceArns"]["thing"].rsplit("/", 1)[1]
    yield Device(thing, home / "root", configuration["cdn_url"], environment, aws)
    arn = certificate["certificateArn"]
    for policy in iot.list_attached_policies(target=arn)["policies"]:
        iot.detach_policy(policyName=policy["policyName"], target=arn)
    iot.detach_thing_principal(thingName=thing, principal=arn)
    iot.update_certificate(certificateId=certificate["certificateId"], newStatus="INACTIVE")
    iot.delete_certificate(certificateId=certificate["certificateId"])
    iot.delete_thing(thingName=thing)


def publish(aws: AwsClients, attribution: str) -> tuple[str, str]:
    """Publish another release of the bundled model, signed by the stack's key; bucket, SHA-256."""
    directory = bundled_models()[MODEL]
    manifest = json.loads((directory / "manifest.json").read_text())
    body = json.dumps({**manifest, "attribution": attribution}).encode()
    sha256 = hashlib.sha256(body).hexdigest()
    s3, prefix = aws("s3"), f"models/{MODEL}/{sha256}/"
    (bucket,) = (
        each["Name"]
        for each in s3.list_buckets()["Buckets"]
        if "Contents" in s3.list_objects_v2(Bucket=each["Name"], Prefix=f"models/{MODEL}/")
    )
    (key,) = (
        each["KeyArn"]
        for each in aws("kms").list_keys()["Keys"]
        if aws("kms").describe_key(KeyId=each["KeyId"])["KeyMetadata"]["KeySpec"] == "ECC_NIST_P256"
    )
    for entry in manifest["files"]:
        data = (directory / entry["path"]).read_bytes()
        s3.put_object(Bucket=bucket, Key=prefix + entry["path"], Body=data)
    companions = ReleaseSigning(KmsSigner(aws("kms"), key)).companions(io.BytesIO(body), prefix)
    for name, text in companions.items():
        s3.put_object(Bucket=bucket, Key=name, Body=text.encode())
    s3.put_object(Bucket=bucket, Key=prefix + "manifest.json", Body=body)
    return bucket, sha256


def order(device: Device, job_id: str, **source: Any) -> None:
    target = f"arn:aws:iot:us-east-1:123456789012:thing/{device.thing}"
    device.aws("iot").create_job(jobId=job_id, targets=[target], **source)


def test_a_release_is_pulled_and_checked(device: Device, tmp_path: Path) -> None:
    arguments = ("pull", MODEL, "--cdn", device.cdn_url, "-o", str(tmp_path / "model"))
    made = device.run(*arguments)
    assert made.returncode == 0, made.stderr
    assert "is trusted from now on" in made.stderr
    assert artifact_sha256(tmp_path / "model") == artifact_sha256(bundled_models()[MODEL])
    again = device.run(*arguments)
    assert "is up to date" in again.stdout


def test_the_job_template_brings_the_release_to_the_device(
    device: Device, outputs: dict[str, str]
) -> None:
    order(device, "release", jobTemplateArn=outputs["ReleaseJobTemplateArn"])
    ended = device.update()
    assert ended.returncode == 0, ended.stderr
    execution = device.execution("release")
    assert execution["status"] == "SUCCEEDED", execution
    assert device.current() == artifact_sha256(bundled_models()[MODEL])
    shadow = device.shadow()
    assert shadow["artifact_sha256"] == device.current()
    assert shadow["execution_path"]
    assert shadow["free_bytes"] > 0


def test_a_tampered_release_is_refused_and_the_old_one_stays(
    device: Device, aws: AwsClients
) -> None:
    before = device.current()
    bucket, sha256 = publish(aws, "tampered")
    # Files that have not changed are on the device already: one that has must come from the CDN.
    manifest = json.loads(
        aws("s3")
        .get_object(Bucket=bucket, Key=f"models/{MODEL}/{sha256}/manifest.json")["Body"]
        .read()
    )
    victim = manifest["files"][0]["path"]
    (device.root / "current" / victim).unlink()
    aws("s3").put_object(
        Bucket=bucket,
        Key=f"models/{MODEL}/{sha256}/{victim}",
        Body=b"?" * manifest["files"][0]["bytes"],
    )
    document = InstallJob(name=MODEL, artifact_sha256=sha256)
    order(device, "tampered", document=document.model_dump_json())
    assert device.update().returncode == 0
    execution = device.execution("tampered")
    assert execution["status"] == "FAILED"
    assert "altered on its way" in execution["statusDetails"]["detailsMap"]["reason"]
    assert device.current() == before
    assert "tampered" in device.shadow()["last_failure"]
    assert not (device.root / "releases" / sha256).exists()


def test_a_release_that_paints_something_else_is_refused(device: Device, aws: AwsClients) -> None:
    before = device.current()
    _, sha256 = publish(aws, "honest")
    released = artifact_sha256(bundled_models()[MODEL])
    expected = json.loads((PROJECT / "infra" / "self_tests" / f"{released}.json").read_text())
    # Another seed alone would paint much the same drawing.
    wrong = SelfTest.model_validate({**expected, "prompt": "a banana"})
    document = InstallJob(name=MODEL, artifact_sha256=sha256, self_test=wrong)
    order(device, "odd", document=document.model_dump_json())
    assert device.update().returncode == 0
    execution = device.execution("odd")
    assert execution["status"] == "FAILED"
    assert "dB from the one expected" in execution["statusDetails"]["detailsMap"]["reason"]
    assert device.current() == before
