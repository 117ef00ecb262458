"""How far a replay came, in a small file: written whole, so that a crash costs a second of repetition at most."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
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
    """What is added to every time, 0 where recorded times are kept; None until it was decided."""
    vehicle: str | None = None
    day: date | None = None
    """What was said of files that tell neither: with another word on it, the same files hold other fixes."""


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
    vehicle: str | None = None
    day: date | None = None


_DECODER: Final = msgspec.json.Decoder(_Saved)


def read_state(
    path: Path | None, recordings: Sequence[Recording], *, now: bool, vehicle: str | None, day: date | None
) -> ReplayState:
    """Where an earlier run of the same replay stopped, or the start.

    INVALID for the state of other recordings, or of these sent otherwise: half of them would be at other times,
    or of other vehicles, than the rest.
    """
    files = [(recording.path.name, recording.size_bytes) for recording in recordings]
    start = ReplayState(files, vehicle=vehicle, day=day)
    if path is None:
        return start
    try:
        saved = _DECODER.decode(path.read_bytes())
    except FileNotFoundError:
        return start
    except (OSError, msgspec.DecodeError) as error:
        raise invalid(f"Cannot read the state of a replay in {path}: {error}. Remove it to begin anew.") from error
    if saved.format != FORMAT or saved.files != files:
        raise invalid(f"{path} is the state of another replay. Remove it to begin anew, or name another file.")
    if not saved.answered:
        return start
    for option, before, asked in (
        ("--now", bool(saved.shift_ms), now),
        ("--vehicle", saved.vehicle, vehicle),
        ("--day", saved.day, day),
    ):
        if before != asked:
            answered = sum(saved.answered.values())
            raise invalid(
                f"An earlier run was interrupted (fixes answered for: {answered:,}), and was made "
                f"{_said(option, before)}. Go on {_said(option, before)}, or say --restart to begin anew "
                f"{_said(option, asked)}. Its state is in {path}."
            )
    tally = Tally(
        saved.sent, saved.taken, saved.stored, saved.known, saved.same_time_different, Counter(saved.refused)
    )
    return ReplayState(files, saved.answered, tally, saved.shift_ms, vehicle, day)


def _said(option: str, value: object) -> str:
    if not value:
        return f"without {option}"
    return f"with {option}" if value is True else f"with {option} {value}"


def write_state(path: Path, state: ReplayState) -> None:
    """Replace the file by a new one, whole. Nothing is kept while nothing was answered: there is nothing to go on
    from, and what was asked for then must not bind what is asked for next.
    """
    if not state.answered:
        return
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
        vehicle=state.vehicle,
        day=state.day,
    )
    new = path.with_name(path.name + ".new")
    with new.open("wb") as file:
        file.write(msgspec.json.encode(saved))
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
