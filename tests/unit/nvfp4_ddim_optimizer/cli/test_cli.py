"""The command line on a tiny model: what it writes, what it says, how it ends."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from nvfp4_ddim_contracts import LayerEntry, Provenance
from nvfp4_ddim_optimizer.cli.app import app
from nvfp4_ddim_optimizer.cli.layers import format_bytes, summarise
from nvfp4_ddim_optimizer.cli.runtime import ExitCode


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def artifact(
    tiny_directory: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("cli") / "tiny"
    result = run(
        "quantize", tiny_directory("taesd"), out, "--search", "absmax", "--license", "CC0-1.0"
    )
    assert result.exit_code == ExitCode.OK, result.output
    assert "times smaller" in result.stdout
    return out


def test_quantize_writes_what_it_was_told(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert manifest["name"] == "tiny"
    assert manifest["license"] == "CC0-1.0"
    assert manifest["quantization"] == {"method": "data-free", "scale_search": "absmax"}
    assert manifest["original_model"] == "taesd"
    assert (manifest["native_width"], manifest["native_height"]) == (16, 16)


def test_quantize_with_a_source_date_gives_the_same_bytes(
    tiny_directory: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    copies = [tmp_path / folder / "tiny" for folder in ("a", "b")]
    for copy in copies:
        result = run("quantize", tiny_directory("taesd"), copy, "--search", "absmax")
        assert result.exit_code == ExitCode.OK, result.output
    first, second = (
        {path.relative_to(copy): path.read_bytes() for path in copy.rglob("*") if path.is_file()}
        for copy in copies
    )
    assert first == second
    assert json.loads(first[Path("manifest.json")])["created_at"].startswith("2023-11-14T22:13:20")


def test_generate_saves_pictures_with_their_provenance(artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "cat.png"
    arguments = ("generate", "cat", "-m", artifact, "-o", out, "--steps", 2, "--seed", 7, "--json")
    result = run(*arguments, "--scale", 3, "--num-images", 2)
    assert result.exit_code == ExitCode.OK, result.output
    report = json.loads(result.stdout)
    assert [Path(image["path"]).name for image in report["images"]] == ["cat-0.png", "cat-1.png"]
    with Image.open(out.with_name("cat-1.png")) as picture:
        assert picture.size == (48, 48)
        written = Provenance.model_validate_json(picture.info["Description"])
    assert written == Provenance.model_validate(report["images"][1]["provenance"])
    assert (written.seed, written.num_inference_steps, written.model) == (8, 2, "tiny")


def test_generate_takes_shortcuts_and_says_so(artifact: Path, tmp_path: Path) -> None:
    arguments = ("generate", "cat", "-m", artifact, "--steps", 4, "--seed", 7, "--json")
    chosen = ("--cache-interval", 2, "--guidance-interval", 0.25, 1, "--token-merging", 0.5)
    for extra, expected in (
        (chosen, (2, (0.25, 1.0), 0.5)),
        (("--preset", "quality"), (1, (0.0, 1.0), 0.0)),
    ):
        result = run(*arguments, *extra, "-o", tmp_path / "cat.png")
        assert result.exit_code == ExitCode.OK, result.output
        made = Provenance.model_validate(json.loads(result.stdout)["images"][0]["provenance"])
        used = (made.cache_interval, made.guidance_interval, made.token_merging_ratio)
        assert used == expected
    wrong = run(*arguments, "--guidance-interval", 0.9, 0.1, "-o", tmp_path / "cat.png")
    assert wrong.exit_code == ExitCode.USAGE
    assert "start <= stop" in wrong.output


def test_generate_twice_gives_the_same_file(artifact: Path, tmp_path: Path) -> None:
    files = [tmp_path / "a.webp", tmp_path / "b.webp"]
    for file in files:
        run("generate", "cat", "-m", artifact, "-o", file, "-p", "fast", "--seed", 1)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_generate_names_the_file_after_the_prompt(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("generate", "A  cat!", "-m", artifact, "--steps", 1, "--seed", 7, "--size", "16x8")
    assert result.exit_code == ExitCode.OK, result.output
    with Image.open(tmp_path / "a-cat-7.png") as picture:
        assert picture.size == (16, 8)


@pytest.mark.filterwarnings("always::nvfp4_ddim_optimizer.tasks.PromptTruncatedWarning")
def test_generate_tells_what_of_a_long_prompt_counted(artifact: Path, tmp_path: Path) -> None:
    prompt, out = "abcdefghijklmnopq", tmp_path / "x.png"
    result = run("generate", prompt, "-m", artifact, "--steps", 1, "-o", out)
    assert result.exit_code == ExitCode.OK
    note = "note: only the first 16 tokens of the prompt count; ignored: 'opq'"
    assert note in result.stderr.splitlines()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "best"], "best"),
        (["--steps", "1001"], "--steps"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "15"], "multiple of 2"),
        (["-o", "cat.bmp"], ".webp"),
        (["--device", "tpu"], "device must be"),
        (["-m", "nonsense"], "no model 'nonsense'"),
    ],
)
def test_wrong_usage_ends_with_2(artifact: Path, options: list[str], message: str) -> None:
    result = run("generate", "cat", "-m", artifact, *options)
    assert result.exit_code == ExitCode.USAGE
    assert message in result.stderr.replace("\n", " ")
    assert "Traceback" not in result.output


def test_a_missing_gpu_ends_with_4(artifact: Path) -> None:
    assert run("generate", "cat", "-m", artifact, "--device", "cuda:63").exit_code == 4


def test_an_altered_artifact_ends_with_3(artifact: Path, tmp_path: Path) -> None:
    copy = tmp_path / "altered"
    subprocess.run(["cp", "-r", artifact, copy], check=True)
    weights = copy / "unet" / "weights.dense.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = run("verify", copy)
    assert result.exit_code == ExitCode.ARTIFACT
    assert "unet/weights.dense.safetensors" in result.stderr.replace("\n", "")
    assert run("generate", "cat", "-m", copy).exit_code == ExitCode.ARTIFACT


def test_quantize_does_not_overwrite_unless_told(
    artifact: Path, tiny_directory: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = tmp_path / "again"
    subprocess.run(["cp", "-r", artifact, copy], check=True)
    model = tiny_directory("taesd")
    assert run("quantize", model, copy, "--search", "absmax").exit_code != ExitCode.OK
    result = run("quantize", model, copy, "--search", "absmax", "--overwrite", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    assert json.loads(result.stdout)["name"] == "again"


def test_inspect_shows_an_artifact(artifact: Path, tmp_path: Path) -> None:
    plot = tmp_path / "layers.png"
    result = run("inspect", artifact, "--json", "--plot", plot)
    assert result.exit_code == ExitCode.OK, result.output
    report = json.loads(result.stdout)
    assert report["is_artifact"]
    assert [part["component"] for part in report["components"]] == ["text_encoder", "unet"]
    assert sum(part["layers"] for part in report["components"]) == len(report["layers"])
    with Image.open(plot) as picture:
        assert picture.width > 1000
    table = run("inspect", artifact, "--layers").stdout
    assert table.count("unet.") > 20


def test_inspect_tries_a_full_precision_model(tiny_directory: Callable[[str], Path]) -> None:
    result = run("inspect", tiny_directory("sd1"), "--search", "absmax")
    assert result.exit_code == ExitCode.OK, result.output
    assert "not quantised yet" in result.stdout


def test_verify_reports_the_machine_and_the_artifact(artifact: Path) -> None:
    report = json.loads(run("verify", artifact, "--json").stdout)
    assert report["cpu_count"] >= 1
    assert report["recommended_preset"] in ("fast", "balanced", "quality")
    assert report["artifact"]["name"] == "tiny"
    result = run("verify")
    assert result.exit_code == ExitCode.OK
    assert "Start with" in result.stdout


def test_serve_refuses_full_precision_models(tiny_directory: Callable[[str], Path]) -> None:
    result = run("serve", "--model", tiny_directory("sd1"))
    assert result.exit_code == ExitCode.USAGE
    assert "nvfp4-ddim quantize" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize("command", [[], ["generate"], ["quantize"], ["serve"]])
def test_help_is_quick_and_teaches(command: list[str]) -> None:
    program = (
        "import sys; from nvfp4_ddim_optimizer.cli.app import app; "
        f"code = app({[*command, '--help']!r}, standalone_mode=False); "
        "assert 'torch' not in sys.modules, 'help must not wait for torch'"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert "nvfp4-ddim" in answer.stdout


def test_sums_layers_up_by_component() -> None:
    def entry(component: str, name: str, shape: tuple[int, ...], sqnr_db: float) -> LayerEntry:
        return LayerEntry(
            component=component, name=name, shape=shape, bits_per_weight=4.5, sqnr_db=sqnr_db
        )

    unet, text = summarise(
        [
            entry("unet", "a", (16, 16), 20.0),
            entry("text_encoder", "b", (32, 16), 22.0),
            entry("unet", "c", (16, 16, 3, 3), 18.0),
        ]
    )
    assert (unet.layers, unet.weights, unet.packed_bytes) == (2, 2560, 1440)
    assert (unet.bits_per_weight, unet.sqnr_db, unet.worst.name) == (4.5, 19.0, "c")
    assert text.component == "text_encoder"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (5_250_000, "5.2 MB"), (3.4e9, "3.40 GB")],
)
def test_formats_sizes(count: float, text: str) -> None:
    assert format_bytes(count) == text


def test_convert_there_and_back(artifact: Path, tmp_path: Path) -> None:
    result = run("convert", artifact, tmp_path / "out", "--to", "comfyui", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    parts = {part["component"]: part for part in json.loads(result.stdout)["components"]}
    assert parts["unet"]["packed_convs"] > 0
    assert parts["unet"]["dequantised"] == 0

    result = run("convert", tmp_path / "out", tmp_path / "back")
    assert result.exit_code == ExitCode.OK, result.output
    assert "unet from comfyui" in result.stdout
    manifests = [
        (folder / "manifest.json").read_bytes() for folder in (artifact, tmp_path / "back")
    ]
    assert manifests[0] == manifests[1]


def test_convert_says_what_became_of_convolutions(artifact: Path, tmp_path: Path) -> None:
    packed = run("convert", artifact, tmp_path / "packed", "--to", "torchao")
    dense = run("convert", artifact, tmp_path / "dense", "--to", "torchao", "--convs", "bf16")
    assert packed.exit_code == dense.exit_code == ExitCode.OK, dense.output
    assert "--convs bf16" in packed.output
    assert "note:" not in dense.output


def test_convert_of_another_programs_files(artifact: Path, tmp_path: Path) -> None:
    run("convert", artifact, tmp_path / "out", "--to", "modelopt")
    (tmp_path / "out" / "nvfp4_export.json").unlink()
    result = run("convert", tmp_path / "out", tmp_path / "Theirs", "--license", "MIT", "--json")
    assert result.exit_code == ExitCode.OK, result.output
    manifest = json.loads(result.stdout)
    assert (manifest["name"], manifest["license"]) == ("theirs", "MIT")
    assert manifest["native_width"] == 16
    assert manifest["quantization"] == {"method": "elsewhere", "tool": "modelopt"}
    assert all(layer["sqnr_db"] is None for layer in manifest["layers"])
    shown = run("inspect", tmp_path / "Theirs")
    assert shown.exit_code == ExitCode.OK, shown.output
    assert "–" in shown.stdout


def test_convert_refuses_what_makes_no_sense(artifact: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for arguments, words in (
        ((artifact, out), "say with --to"),
        ((artifact, out, "--to", "gguf", "--name", "x"), "for --to artifact only"),
        ((tmp_path, out, "--to", "gguf"), "convert it to one first"),
    ):
        result = run("convert", *arguments)
        assert result.exit_code == ExitCode.USAGE
        assert words in result.output
    assert run("convert", tmp_path, out).exit_code == ExitCode.ARTIFACT
    assert not out.exists()
