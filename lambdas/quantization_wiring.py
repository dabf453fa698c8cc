"""Builds the services of quantisations from their settings, as `lambdas.wiring` does all others."""

from collections.abc import Callable

from lambdas.adapters import clients
from lambdas.adapters.dynamodb_stop import DynamoDBStopFlag
from lambdas.adapters.kms_signer import KmsSigner
from lambdas.adapters.s3_dropped import S3DroppedFiles
from lambdas.adapters.s3_releases import S3Releases
from lambdas.adapters.system import SystemClock
from lambdas.domain.quantizations.preparing import ModelPreparer
from lambdas.domain.quantizations.publishing import ModelStager
from lambdas.domain.quantizations.reporting import QuantizationReporter
from lambdas.domain.release_signing import ReleaseSigning
from lambdas.domain.stopping import ServiceGate
from lambdas.settings import (
    PrepareQuantizationSettings,
    PublishQuantizationSettings,
    ReportQuantizationSettings,
)

__all__ = ["model_preparer", "model_stager", "quantization_reporter"]


def model_preparer(settings: PrepareQuantizationSettings) -> ModelPreparer:
    """Service of `prepare_quantization`."""
    return ModelPreparer(
        gate=ServiceGate(DynamoDBStopFlag(clients.dynamodb(), settings.table_name), SystemClock()),
        dropped=S3DroppedFiles(clients.s3(), settings.incoming_bucket),
        releases=S3Releases(clients.s3(), settings.artifact_bucket),
        max_bytes=settings.max_model_bytes,
        quantizer=settings.quantizer,
    )


def model_stager(
    settings: PublishQuantizationSettings, check_time: Callable[[], None]
) -> ModelStager:
    """Service of `publish_quantization`."""
    return ModelStager(
        dropped=S3DroppedFiles(clients.s3(), settings.incoming_bucket),
        releases=S3Releases(clients.s3(), settings.artifact_bucket),
        signing=ReleaseSigning(KmsSigner(clients.kms(), settings.manifest_key_arn)),
        check_time=check_time,
    )


def quantization_reporter(settings: ReportQuantizationSettings) -> QuantizationReporter:
    """Service of `report_quantization`."""
    return QuantizationReporter(
        S3DroppedFiles(clients.s3(), settings.incoming_bucket), SystemClock()
    )
