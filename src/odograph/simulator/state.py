"""How far a replay came, in a small file: written whole, so that a crash costs a second of repetition at most."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from odograph.errors import invalid
from odograph.simulator.recordings import Recording
from odograph.simulator.senders import Tally

FORMAT: Final = 1


@dataclass(slots=True)
class ReplayState:
    """`answered` counts each vehicle's reports, in the order of the recording, for which there was an answer."""

    files: list[tuple[str, int]]
    answered: dict[str, int] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    shift_ms: int | None = None
    """What is added to every time; None until it was decided."""


class _Saved(msgspec.Struct, rename="camel"):
    format: int
    files: list[tuple[str, int]]
    answered: dict[str, int]
    shift_ms: int | None
    sent: int
    taken: int
    stored: int
    known: int
    same_time_different: int
    refused: dict[str, int]


_DECODER: Final = msgspec.json.Decoder(_Saved)


def read_state(path: Path | None, recordings: Sequence[Recording]) -> ReplayState:
    """Where an earlier run of the same recordings stopped, or the start. INVALID for the state of others."""
    files = [(recording.path.name, recording.size_bytes) for recording in recordings]
    if path is None:
        return ReplayState(files)
    try:
        saved = _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return ReplayState(files)
    except (OSError, msgspec.DecodeError) as error:
        raise invalid(f"Cannot read the state of a replay in {path}: {error}. Remove it to begin anew.") from error
    if saved.format != FORMAT or saved.files != files:
        raise invalid(f"{path} is the state of another replay. Remove it to begin anew, or name another file.")
    tally = Tally(
        saved.sent, saved.taken, saved.stored, saved.known, saved.same_time_different, Counter(saved.refused)
    )
    return ReplayState(files, saved.answered, tally, saved.shift_ms)


def write_state(path: Path, state: ReplayState) -> None:
    """Replace the file by a new one, whole."""
    tally = state.tally
    saved = _Saved(
        format=FORMAT,
        files=state.files,
        answered=state.answered,
        shift_ms=state.shift_ms,
        sent=tally.sent,
        taken=tally.taken,
        stored=tally.stored,
        known=tally.known,
        same_time_different=tally.same_time_different,
        refused=dict(tally.refused),
    )
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(saved))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
