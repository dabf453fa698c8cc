import json
import logging
import sys

from nvfp4_ddim_server.logs import JsonFormatter


def test_one_json_object_a_line_with_the_fields() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "request %s", ("x",), None)
    record.fields = {"job_id": None, "status": 200}
    line = JsonFormatter().format(record)
    assert "\n" not in line
    parsed = json.loads(line)
    assert (parsed["event"], parsed["level"], parsed["status"]) == ("request x", "INFO", 200)


def test_exceptions_stay_on_the_line() -> None:
    try:
        raise ValueError("broken\nhere")
    except ValueError:
        record = logging.LogRecord("n", logging.ERROR, "f", 1, "oops", (), sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert "ValueError: broken" in json.loads(line)["exception"]
