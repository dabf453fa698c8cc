import numpy as np

from benchmarks.uses.segment_touching import OVERLAPS, touching_claims


def test_discs_are_kept_whole_and_parted_until_they_overlap_too_much() -> None:
    row, column = np.mgrid[:64, :64]
    centres = ((16, 16), (16, 46), (46, 30))
    mask = np.any([(row - y) ** 2 + (column - x) ** 2 <= 100 for y, x in centres], axis=0)
    mask[30:34, 60:64] = True  # at the border: left out
    claims = {claim.id: claim for claim in touching_claims(mask[None])}
    assert claims["single_nuclei_whole"].value == 100
    assert claims["single_nuclei_whole"].note.startswith("3 ")
    parted = [claims[f"pairs_parted_{round(100 * o)}_percent"].value for o in OVERLAPS]
    assert parted[0] == 100
    assert parted == sorted(parted, reverse=True)
