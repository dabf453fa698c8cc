from pathlib import Path

from local.sources import source_fingerprint


def test_it_changes_with_names_and_contents_only(tmp_path: Path) -> None:
    (tmp_path / "infra").mkdir()
    (tmp_path / "app.py").write_text("one")
    first = source_fingerprint(tmp_path, "4610")
    assert source_fingerprint(tmp_path, "4610") == first
    assert source_fingerprint(tmp_path, "4620") != first
    (tmp_path / "infra" / "__pycache__").mkdir()
    (tmp_path / "infra" / "__pycache__" / "x.pyc").write_text("cache")
    (tmp_path / "README.md").write_text("no source")
    assert source_fingerprint(tmp_path, "4610") == first
    (tmp_path / "infra" / "stack.py").write_text("")
    second = source_fingerprint(tmp_path, "4610")
    assert second != first
    (tmp_path / "infra" / "stack.py").rename(tmp_path / "infra" / "renamed.py")
    assert source_fingerprint(tmp_path, "4610") != second
