from local.cloudformation.values import as_bool, lower_first, without_transport_denial


def test_only_the_denial_of_plain_http_is_dropped() -> None:
    tls = {
        "Effect": "Deny",
        "Action": "s3:*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    others = [{"Effect": "Allow", "Action": "s3:GetObject"}, {"Effect": "Deny", "Action": "s3:*"}]
    policy = {"Version": "2012-10-17", "Statement": [tls, *others]}
    assert without_transport_denial(policy)["Statement"] == others


def test_booleans_may_be_text() -> None:
    assert as_bool("true")
    assert as_bool(True)
    assert not as_bool("false")
    assert not as_bool(False)


def test_first_letters_become_small() -> None:
    assert lower_first({"Types": [1], "x": 2}) == {"types": [1], "x": 2}
