"""What can go wrong in the local cloud.

LocalCloudError
|-- UnsafeEnvironmentError     something would reach beyond this machine
|-- CloudNotRunningError       an operation needs a running cloud
|-- CloudStartError            the cloud did not come up
|-- DeployError                the CDK CLI failed
|-- UnsupportedResourceError   a template uses what the local cloud does not provide
|-- ProvisioningError          a resource could not be made
|-- FormRefusedError           S3 would refuse a signed form
|-- FunctionNotRunnableError   a Lambda function's package or runtime cannot be run here
|-- IotRequestError            a request to AWS IoT is refused
'-- JobError                   a submitted job did not end in a picture
"""

__all__ = [
    "CloudNotRunningError",
    "CloudStartError",
    "DeployError",
    "FormRefusedError",
    "FunctionNotRunnableError",
    "IotRequestError",
    "JobError",
    "LocalCloudError",
    "ProvisioningError",
    "UnsafeEnvironmentError",
    "UnsupportedResourceError",
]


class LocalCloudError(Exception):
    """Base of everything that the local cloud raises on purpose."""


class UnsafeEnvironmentError(LocalCloudError):
    """Something would reach beyond this machine."""


class FormRefusedError(LocalCloudError):
    """S3 would refuse a signed form: its code, its status and why."""

    def __init__(self, code: str, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class CloudNotRunningError(LocalCloudError):
    """No local cloud is running."""


class CloudStartError(LocalCloudError):
    """The local cloud did not come up."""


class DeployError(LocalCloudError):
    """The CDK CLI failed."""


class UnsupportedResourceError(LocalCloudError):
    """A template uses a resource type or a property that the local cloud does not provide."""


class ProvisioningError(LocalCloudError):
    """A resource could not be made, changed or deleted."""


class FunctionNotRunnableError(LocalCloudError):
    """A Lambda function's package or runtime cannot be run on this machine."""


class IotRequestError(LocalCloudError):
    """A request to AWS IoT is refused; `code` is AWS's name of the error."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class JobError(LocalCloudError):
    """A submitted job did not end in a picture."""
