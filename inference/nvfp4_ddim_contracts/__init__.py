"""Messages, states and names that the API, the container and the library agree on.

pydantic only: a Lambda, the container and a laptop all import this package.
"""

from .generation import (
    GeneratedImage,
    GenerationRequest,
    GenerationResult,
    ImageFormat,
    Preset,
    Provenance,
    Timings,
)
from .jobs import Job, JobAttempt, JobFile, JobImage, JobPage, JobProgress, JobState
from .lanes import InferenceTask, Lane, LaneOffer, LaneOffers, LaneWish
from .manifest import ArtifactFile, LayerEntry, Manifest, WeightStorage
from .pricing import CostEstimate
from .problems import FieldError, Problem, ProblemType
from .quantization import (
    Calibrated,
    DataFree,
    Elsewhere,
    Quantization,
    RateDistortion,
    ScaleSearch,
)
from .requests import AnyRequest
from .signatures import ManifestSignature
from .uploads import Upload, UploadRequest
from .webhooks import JobEvent, JobEventType, JobRequest

__all__ = [
    "AnyRequest",
    "ArtifactFile",
    "Calibrated",
    "CostEstimate",
    "DataFree",
    "Elsewhere",
    "FieldError",
    "GeneratedImage",
    "GenerationRequest",
    "GenerationResult",
    "ImageFormat",
    "InferenceTask",
    "Job",
    "JobAttempt",
    "JobEvent",
    "JobEventType",
    "JobFile",
    "JobImage",
    "JobPage",
    "JobProgress",
    "JobRequest",
    "JobState",
    "Lane",
    "LaneOffer",
    "LaneOffers",
    "LaneWish",
    "LayerEntry",
    "Manifest",
    "ManifestSignature",
    "Preset",
    "Problem",
    "ProblemType",
    "Provenance",
    "Quantization",
    "RateDistortion",
    "ScaleSearch",
    "Timings",
    "Upload",
    "UploadRequest",
    "WeightStorage",
]
