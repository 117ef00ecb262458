"""From one run of the log to chunks: one org's blocks sorted by asset and time, and cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from odograph.model.fixes import Fixes, empty_fixes
from odograph.model.ids import AssetId, OrgId, Seq
from odograph.store.base import Block, Newest
from odograph.store.sqlite.chunks import Seqs, encode_chunk
from odograph.store.sqlite.dayfile import PACK_BYTES, Chunk, DayWriter, OrgRun

CHUNK_ROWS: Final = 2048
"""Near three hours at 5 s: a longer chunk saves 3 % of its bytes, while whoever wants one fix opens it all."""


class Span(NamedTuple):
    """The first and last time of what a run holds of one asset."""

    org: OrgId
    asset: AssetId
    t0_ms: int
    t1_ms: int


class OrgPart(NamedTuple):
    """The least and greatest seq of what a run holds of one org."""

    org: OrgId
    first: Seq
    last: Seq
    rows: int


class AddedOrg(NamedTuple):
    """What was written of one org."""

    part: OrgPart
    spans: list[Span]
    newest: Newest


def add_org(writer: DayWriter, run: Seq, blocks: Sequence[Block]) -> AddedOrg:
    """Write the org's part of a run, within the writer's transaction; `blocks` are not empty, all of one org."""
    org = blocks[0].org
    fixes, seqs, received = _columns(blocks)
    order = np.lexsort((fixes["time_ms"], fixes["asset"]))
    fixes, seqs, received = fixes[order], seqs[order], received[order]
    del order
    starts = np.flatnonzero(np.diff(fixes["asset"], prepend=~fixes["asset"][:1]))
    ends = np.append(starts[1:], len(fixes))
    chunk0, chunk1 = _add_chunks(writer, org, run, fixes, seqs, _cuts(starts, ends))
    first, last = int(seqs.min()), int(seqs.max())
    writer.add_run(OrgRun(org, run, first, last, len(fixes), int(received.max()), chunk0, chunk1))
    return AddedOrg(
        OrgPart(org, Seq(first), Seq(last), len(fixes)),
        _spans(org, fixes[starts], fixes[ends - 1]),
        Newest(fixes[ends - 1], seqs[ends - 1], np.maximum.reduceat(received, starts)),
    )


def _columns(blocks: Sequence[Block]) -> tuple[Fixes, Seqs, npt.NDArray[np.int64]]:
    """Fixes, seqs and arrivals of all blocks; of a single one, which may be large, no copies."""
    if len(blocks) == 1:
        [block] = blocks
        return block.fixes, block.seqs, np.broadcast_to(np.int64(block.received_ms), len(block.seqs))
    return (
        np.concatenate([block.fixes for block in blocks]),
        np.concatenate([block.seqs for block in blocks]),
        np.repeat([block.received_ms for block in blocks], [len(block.seqs) for block in blocks]),
    )


def joined(parts: Sequence[Newest]) -> Newest:
    """All of them as one."""
    none = np.empty(0, dtype=np.int64)
    return Newest(
        np.concatenate([empty_fixes(), *(part.fixes for part in parts)]),
        np.concatenate([none, *(part.seqs for part in parts)]),
        np.concatenate([none, *(part.received_ms for part in parts)]),
    )


def _add_chunks(
    writer: DayWriter, org: OrgId, run: Seq, fixes: Fixes, seqs: Seqs, cuts: Iterator[slice]
) -> tuple[int, int]:
    """Compress and write a pack at a time; the first chunk's id and the last one's."""
    ids: list[int] = []
    pack: list[Chunk] = []
    packed_bytes = 0
    for cut in cuts:
        pack.append(_chunk(org, run, fixes[cut], seqs[cut]))
        packed_bytes += len(pack[-1].data)
        if packed_bytes >= PACK_BYTES:
            ids += writer.add_pack(pack)
            pack, packed_bytes = [], 0
    if pack:
        ids += writer.add_pack(pack)
    return ids[0], ids[-1]


def _chunk(org: OrgId, run: Seq, fixes: Fixes, seqs: Seqs) -> Chunk:
    """The row, all but its id and checksum, which are the writer's to give."""
    times = fixes["time_ms"]
    return Chunk(
        id=0,
        asset=int(fixes["asset"][0]),
        t0=int(times[0]),
        t1=int(times[-1]),
        s0=int(seqs.min()),
        s1=int(seqs.max()),
        n=len(fixes),
        org=org,
        run=run,
        data=encode_chunk(fixes, seqs),
    )


def _cuts(starts: npt.NDArray[np.intp], ends: npt.NDArray[np.intp]) -> Iterator[slice]:
    """Each asset's rows in as few chunks as CHUNK_ROWS allows, of equal length as near as may be."""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        rows = end - start
        pieces = -(-rows // CHUNK_ROWS)
        for piece in range(pieces):
            yield slice(start + rows * piece // pieces, start + rows * (piece + 1) // pieces)


def _spans(org: OrgId, oldest: Fixes, newest: Fixes) -> list[Span]:
    columns = (oldest["asset"].tolist(), oldest["time_ms"].tolist(), newest["time_ms"].tolist())
    return [Span(org, AssetId(asset), t0, t1) for asset, t0, t1 in zip(*columns, strict=True)]
