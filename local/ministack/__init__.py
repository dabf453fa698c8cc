"""A second opinion: the templates in ministack, which was written by others than moto's authors.

`python -m local.ministack` starts ministack on loopback, deploys what it provides of the stage
`local` with the real CDK CLI, and asks the deployed REST API for jobs, with a key and without.
ministack enforces what moto stores: IAM. Each function runs with its execution role's credentials,
and each call that it makes is held against that role's policies.

ministack pins a botocore of its own, so that it needs an environment of its own, made with the
Python that runs this; cryptography is for its KMS, and boto3 is what its functions find there in
place of AWS's runtime:

    python -m venv .ministack
    .ministack/bin/pip install ministack==1.5.33 boto3==1.43.106 cryptography
    NVFP4_MINISTACK=.ministack/bin/ministack python -m local.ministack

What ministack 1.5.33, the newest, can't show:

- Resource types of `NOT_PROVIDED`, and alarms on metric math. Without SageMaker, a job that is
  accepted goes no further.
- People's tokens. Our authoriser answers with the API key whose usage plan a caller is counted in
  (`apiKeySource: AUTHORIZER`); ministack's `_api_key_from_request` reads the header `x-api-key`
  alone, so that a valid token without that header is answered with 403.
- A key that is switched off: it keeps the text "false" that `update_api_key` sends, and takes it
  for on. A deleted key is refused.
- Refusing what is not TLS: it speaks HTTP here, so that those statements are left out.
- Whether the roles of the CDK's own bootstrap suffice: two of their rights are widened, see
  `check`. Ours are as deployed.
"""

from .check import check_in_ministack, find_ministack
from .questions import Answer
from .templates import NOT_PROVIDED, without

__all__ = ["NOT_PROVIDED", "Answer", "check_in_ministack", "find_ministack", "without"]
