"""The embedded local cloud: moto server, what it lacks, the real handlers and the real server.

`python -m local up` starts one supervising process that listens on loopback only:

    port base + 0   the AWS API (moto server with the CloudFormation types that it lacks)
    port base + 1   the deployed REST API, as API Gateway would serve it
    port base + 2   the deployed CloudFront distributions
    port base + 3   the inference server behind the deployed SageMaker endpoint

State lives in memory and in the state directory; `python -m local down` leaves nothing behind.
"""

__all__: list[str] = []
