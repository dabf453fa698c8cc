"""Custom resource `Custom::PublishFiles`: puts the files of a zip, and a few texts, into a bucket.

The plain Lambda-backed protocol: CloudFormation invokes `handler` with `ServiceToken` pointing at
the function, and the answer is PUT to the event's `ResponseURL`, whatever happens. Give the
function 512 MB and a timeout of 15 minutes; memory does not grow with the archive, and the answer
FAILED is sent before the time runs out.

Properties (all values are strings, as CloudFormation makes them):
    DestinationBucket   required
    DestinationPrefix   "" or a prefix that ends with "/"; default ""
    SourceBucket        with SourceKey: a zip (a CDK asset); both or neither
    SourceKey
    LastKey             optional member of the zip that is written after all others, such as
                        "manifest.json": its presence means that all files are there
    SigningKeyArn       optional KMS key (ECC_NIST_P256) that signs the file LastKey: the signature
                        "manifest.json.sig" and "keys/<key id>.pem" are written just before it
    CacheControl        optional header of the zip's files; default "no-cache"
    InlineFiles         optional map of names below the prefix to texts (such as config.json);
                        always "no-cache"; written after the zip, replacing a member of that name
    PointerKey          with PointerBody: one full key, outside the prefix, that is written after
    PointerBody         everything else, verbatim, "no-cache" (models/<name>/live.json); the body
                        is a JSON text, since CloudFormation turns numbers in objects to strings
    PurgeVersions       "true": deletion removes all versions too, so that a versioned bucket can
                        be deleted after it; default "false": noncurrent versions stay

Behaviour:
    Create   writes the files in the order above.
    Update   the same; with the same destination, files below the prefix that are no longer in
             the source are removed afterwards. Another bucket or prefix means another
             PhysicalResourceId, so CloudFormation deletes the old files once the update held.
    Delete   removes everything below the prefix. The pointer goes only while it still is this
             resource's PointerBody. A bucket that is gone, or a resource that never came to be,
             is no error. Without source and inline files, the resource does nothing but this:
             with prefix "" and PurgeVersions it empties a bucket before its deletion.

Attributes (Fn::GetAtt): Bucket, Prefix, FileCount, Bytes.

The function needs s3:GetObject on the source; on the destination s3:PutObject, s3:GetObject,
s3:DeleteObject, s3:AbortMultipartUpload, s3:ListBucket, and with PurgeVersions
s3:DeleteObjectVersion and s3:ListBucketVersions; the use of the keys that encrypt them; and on
SigningKeyArn kms:Sign and kms:GetPublicKey.
"""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from lambdas import wiring
from lambdas.domain.errors import ResourceError
from lambdas.domain.publishing import Publication
from lambdas.domain.validation import field_errors

from ._custom_resource import CustomResourceRequest, Reply, custom_resource_handler

__all__ = ["PublishProperties", "handler"]

NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class PublishProperties(BaseModel):
    """The resource's properties, by their names in the template."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    service_token: str = Field("", alias="ServiceToken")
    service_timeout: str = Field("", alias="ServiceTimeout")
    destination_bucket: NonEmpty = Field(alias="DestinationBucket")
    destination_prefix: Annotated[str, StringConstraints(pattern=r"^([^/].*/)?$")] = Field(
        "", alias="DestinationPrefix"
    )
    source_bucket: NonEmpty | None = Field(None, alias="SourceBucket")
    source_key: NonEmpty | None = Field(None, alias="SourceKey")
    last_key: NonEmpty | None = Field(None, alias="LastKey")
    signing_key_arn: NonEmpty | None = Field(None, alias="SigningKeyArn")
    cache_control: NonEmpty = Field("no-cache", alias="CacheControl")
    inline_files: dict[str, str] = Field(default_factory=dict, alias="InlineFiles")
    pointer_key: NonEmpty | None = Field(None, alias="PointerKey")
    pointer_body: str | None = Field(None, alias="PointerBody")
    purge_versions: bool = Field(False, alias="PurgeVersions")

    @model_validator(mode="after")
    def _pairs_are_whole(self) -> Self:
        if (self.source_bucket is None) != (self.source_key is None):
            raise ValueError("SourceBucket and SourceKey need each other.")
        if self.signing_key_arn is not None and self.last_key is None:
            raise ValueError("SigningKeyArn needs LastKey: that is the file it signs.")
        if (self.pointer_key is None) != (self.pointer_body is None):
            raise ValueError("PointerKey and PointerBody need each other.")
        return self

    @property
    def publication(self) -> Publication:
        """What the domain is asked to publish."""
        return Publication(
            prefix=self.destination_prefix,
            last_name=self.last_key,
            cache_control=self.cache_control,
            inline_files=self.inline_files,
            pointer_key=self.pointer_key,
            pointer_body=self.pointer_body or "",
            purge_versions=self.purge_versions,
        )


def _operate(request: CustomResourceRequest, check_time: Callable[[], None]) -> Reply:
    properties = _parse(request)
    bucket, prefix = properties.destination_bucket, properties.destination_prefix
    publisher = wiring.file_publisher(bucket, check_time, properties.signing_key_arn)
    if request.is_deletion:
        publisher.withdraw(properties.publication)
        return Reply(request.physical_id)
    archive = (
        wiring.archive(properties.source_bucket, properties.source_key)
        if properties.source_bucket and properties.source_key
        else None
    )
    report = publisher.publish(archive, properties.publication)
    return Reply(
        physical_id=f"s3://{bucket}/{prefix}",
        data={
            "Bucket": bucket,
            "Prefix": prefix,
            "FileCount": str(report.file_count),
            "Bytes": str(report.total_bytes),
        },
    )


def _parse(request: CustomResourceRequest) -> PublishProperties:
    properties = request.properties
    if request.is_deletion:
        # What an older version of this function accepted must stay deletable.
        known = {field.alias for field in PublishProperties.model_fields.values()}
        properties = {name: value for name, value in properties.items() if name in known}
    try:
        return PublishProperties.model_validate(properties)
    except ValidationError as error:
        wrong = "; ".join(f"{entry.field}: {entry.message}" for entry in field_errors(error))
        raise ResourceError(f"The properties are wrong: {wrong}") from error


handler = custom_resource_handler(_operate)
