from unittest.mock import Mock

import pytest
from moto import backends

from local.moto_server import _Dispatcher

SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/{}/aws4_request, SignedHeaders=host"


def test_the_service_of_a_host_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    list_modules = Mock(side_effect=backends.list_of_moto_modules)
    monkeypatch.setattr(backends, "list_of_moto_modules", list_modules)
    dispatcher = _Dispatcher(lambda service: f"the application of {service}")

    def ask(service: str) -> str:
        environ = {"HTTP_AUTHORIZATION": SIGNED.format(service), "PATH_INFO": "/"}
        found: str = dispatcher.get_application(environ)
        return found

    assert {ask("sqs") for _ in range(3)} == {"the application of sqs"}
    assert {ask("sns") for _ in range(3)} == {"the application of sns"}
    assert list_modules.call_count == 2
