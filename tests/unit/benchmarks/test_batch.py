import io
import json

from PIL import Image

from benchmarks.batch import Outcome, claims, manifest
from benchmarks.instant_server import answer_to
from lambdas.domain.batches.folder import BatchFolder
from lambdas.domain.batches.manifest import read_manifest
from nvfp4_ddim_contracts import GenerationRequest, GenerationResult
from nvfp4_ddim_contracts.batches import BatchItem, ManifestFormat


def test_the_stand_in_answers_by_the_contract() -> None:
    request = GenerationRequest(prompt="fox", seed=7, num_images=2)
    answer = GenerationResult.model_validate_json(answer_to(request).model_dump_json())
    assert len(answer.images) == 2
    assert answer.provenance.seed == 7
    assert Image.open(io.BytesIO(answer.images[0].data)).size == (8, 8)


def test_the_manifest_has_rows_of_their_own() -> None:
    folder = BatchFolder("batch", lambda: ())
    rows = list(read_manifest(manifest(5), ManifestFormat.JSONL, folder))
    assert all(isinstance(row, BatchItem) for row in rows)
    assert len({row.digest for row in rows if isinstance(row, BatchItem)}) == 5


def test_lost_and_doubled_rows_are_claimed_as_they_are() -> None:
    found = claims(Outcome(10, 5.0, lost=1, twice=2), Outcome(10, 1.0, lost=0, twice=3))
    values = {claim.id: claim.value for claim in found}
    assert values["batch_rows_lost"] == 1
    assert values["batch_rows_done_twice"] == 2
    assert values["batch_rerun_requests"] == 3
    assert values["batch_seconds_per_row"] == 0.5
    assert json.dumps(values)
