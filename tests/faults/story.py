"""What was done to a store and what it answered, so that what is left of it after a fault can be judged."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import numpy as np

from odograph.errors import Corrupt, Refusal
from odograph.model.fixes import FIX_DTYPE, FIX_SIZE, Fixes
from odograph.model.ids import AssetId, OrgId, RecordId, Seq
from odograph.store.base import Block, Change, LedgerEntry, OrgFixes, Outcome, Record
from odograph.store.sqlite.database import FILE_NAME, SEALED_NAME
from odograph.store.sqlite.engine import Done, Engine
from odograph.store.sqlite.log import LogReader
from odograph.store.sqlite.runs import OrgPart
from odograph.store.sqlite.sealed import DayFiles
from odograph.store.sqlite.sealer import drop_old, seal_once
from tests.support.stores import verify

DAY_MS = 86_400_000
BEGIN_MS = 1_717_200_000_000  # 2024-06-01
PAGE = 7  # small, so that pages end in all kinds of places
MANY_ROWS, LONG_PAGE = 500, 501
SHARE = (OrgId(1), RecordId(9))  # whose ledger is kept

_MOMENT = struct.Struct("<Iq")


class SetClock:
    """A wall clock that stands where it was put."""

    def __init__(self, now_ms: int = BEGIN_MS) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms

    def steady_s(self) -> float:
        return self.at_ms / 1000

    async def sleep(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1000)


def fixes_of(*rows: tuple[int, int] | tuple[int, int, int]) -> Fixes:
    """Fixes of (asset, seconds after the beginning), at latitude 50 or at so many 1e-7 degrees."""
    fixes = np.zeros(len(rows), dtype=FIX_DTYPE)
    for place, (asset, second, *lat_e7) in enumerate(rows):
        at = (lat_e7 or [500_000_000 + second])[0]
        fixes[place] = (asset, BEGIN_MS + second * 1000, at, 80_000_000 + asset, 9000, 5000 + asset, 0)
    return fixes


@dataclass
class State:
    """What a store holds."""

    rows: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    """By seq: org and fix."""
    records: dict[int, Record] = field(default_factory=dict)
    ledger: dict[tuple[int, int], bytes] = field(default_factory=dict)
    """By minute and writer."""
    sealed_through: int = 0
    runs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def moments(self) -> set[tuple[int, int]]:
        """Asset and time of every fix."""
        return {moment_of(data) for _, data in self.rows.values()}

    def take(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            for seq, data in zip(block.seqs.tolist(), rows_of(block.fixes), strict=True):
                assert seq not in self.rows, f"seq {seq} is there twice"
                self.rows[seq] = (block.org, data)

    def drop(self, day: str) -> None:
        for after, last in self.runs.pop(day, []):
            for seq in range(after + 1, last + 1):
                self.rows.pop(seq, None)


def rows_of(fixes: Fixes) -> list[bytes]:
    """Each fix packed."""
    data = fixes.tobytes()
    return [data[at : at + FIX_SIZE] for at in range(0, len(data), FIX_SIZE)]


def moment_of(data: bytes) -> tuple[int, int]:
    """Asset and time of a packed fix."""
    asset, time_ms = _MOMENT.unpack_from(data)
    return asset, time_ms


@dataclass(eq=False)
class Deed:
    """One thing done; it was answered when the journal was `end` long."""

    name: str
    begin: int
    end: int = -1
    sent: list[list[OrgFixes]] = field(default_factory=list)
    effect: Callable[[State], None] = lambda _: None


class Story:
    """Does things to a store below `directory`, one after the other, and remembers them."""

    def __init__(
        self,
        directory: Path,
        vfs: str = "",
        now: Callable[[], int] = lambda: 0,
        engine: Callable[..., Engine] = Engine,
    ) -> None:
        self.directory = directory
        self.vfs = vfs
        self.clock = SetClock()
        self.deeds: list[Deed] = []
        self.state = State()
        self._now = now
        self._make = engine
        self.open()

    def open(self) -> None:
        """Begin, or begin again."""
        with self._doing("open"):
            self.engine = self._make(self.directory, self.clock, self.vfs)
            self.reader = LogReader(self.directory, self.vfs)
            self.days = DayFiles(self.directory / SEALED_NAME, self.vfs, is_known=self.reader.knows_day)
            self.days.discard_after(self.engine.sealed_through)
            drop_old(self.reader, self.days, self.engine, 0)  # files of which nobody knows

    def take_over(self, found: State) -> None:
        """Go on from what somebody else left."""
        self.state = found
        there = deepcopy(found)

        def effect(state: State) -> None:
            state.rows.update(there.rows)
            state.records.update(there.records)
            state.ledger.update(there.ledger)
            state.sealed_through = there.sealed_through

        self.deeds = [Deed("what was found", -1, 0, effect=effect)]

    def close(self) -> None:
        """As when the server is stopped."""
        with self._doing("close"):
            self.reader.close()
            self.days.close()
            self.engine.close()

    def append(self, *appends: Mapping[OrgId, Fixes] | Mapping[int, Fixes], changes: Sequence[Change] = ()) -> Done:
        """One commit; checks the answers against what is known."""
        sent = [[OrgFixes(OrgId(org), fixes) for org, fixes in append.items()] for append in appends]
        with self._doing("append", sent) as deed:
            done = self.engine.commit(sent, [changes] if changes else [])
        blocks, records = list(done.committed.blocks), list(done.committed.records)
        assert not any(isinstance(answer, Refusal) for answer in [*done.appended, *done.written])

        def effect(state: State) -> None:
            state.take(blocks)
            for record in records:
                state.records[record.id] = record

        self._check_answers(sent, done)
        deed.effect = effect
        deed.effect(self.state)
        return done

    def note(self, *entries: LedgerEntry) -> None:
        """Put entries of SHARE into the ledger."""
        with self._doing("note") as deed:
            self.engine.note(entries)
        deed.effect = lambda state: state.ledger.update({(one.minute, one.writer): one.body for one in entries})
        deed.effect(self.state)

    def seal(self, max_rows: int = 1 << 30) -> None:
        """Seal the oldest day of arrival of what is not sealed, or so many rows of it, and trim."""
        with self._doing("seal") as deed:
            seal_once(self.reader, self.days, _Official(self.engine, deed), max_rows)
            while self.engine.trim():
                pass
        deed.effect(self.state)

    def seal_all(self) -> None:
        """Seal whatever is left."""
        while self.engine.unsealed_rows:
            self.seal()

    def drop(self, before_ms: int) -> None:
        """As retention does."""
        with self._doing("drop") as deed:
            drop_old(self.reader, self.days, _Official(self.engine, deed), before_ms)
        deed.effect(self.state)

    def checkpoint(self) -> None:
        """As in a quiet time."""
        with self._doing("checkpoint"):
            self.engine.checkpoint()

    @contextmanager
    def _doing(self, name: str, sent: list[list[OrgFixes]] | None = None):
        deed = Deed(name, self._now(), sent=sent or [])
        self.deeds.append(deed)
        yield deed
        deed.end = self._now()

    def _check_answers(self, sent: list[list[OrgFixes]], done: Done) -> None:
        known = {moment_of(data): data for _, data in self.state.rows.values()}
        for request, answer in zip(sent, done.appended, strict=True):
            for part, outcomes in zip(request, answer, strict=True):  # type: ignore[arg-type] # no refusals here
                for data, outcome in zip(rows_of(part.fixes), outcomes.tolist(), strict=True):
                    first = known.setdefault(moment_of(data), b"")
                    if not first:
                        assert outcome == Outcome.STORED
                        known[moment_of(data)] = data
                    else:  # the last byte holds the marks
                        same = first[:-1] == data[:-1]
                        assert outcome == (Outcome.KNOWN if same else Outcome.SAME_TIME_DIFFERENT)


class _Official:
    """The engine; what it is about to make official is the deed's effect."""

    def __init__(self, engine: Engine, deed: Deed) -> None:
        self.widen = engine.widen
        self._engine = engine
        self._deed = deed

    def seal(self, day: str, after: Seq, last: Seq, orgs: Sequence[OrgPart], received_ms: int) -> None:
        def effect(state: State) -> None:
            state.sealed_through = last
            state.runs.setdefault(day, []).append((after, last))

        self._deed.effect = effect
        self._engine.seal(day, after, last, orgs, received_ms)

    def drop(self, day: str) -> None:
        self._deed.effect = lambda state: state.drop(day)
        self._engine.drop(day)


def state_after(deeds: Sequence[Deed]) -> State:
    """What is there once so much was done."""
    state = State()
    for deed in deeds:
        deed.effect(state)
    return state


def judge(directory: Path, deeds: Sequence[Deed], cut: int) -> None:
    """Check what is left in `directory` of a story that ended when the journal was `cut` long.

    AssertionError: something that was answered is missing, or something else is there.
    """
    done = [deed for deed in deeds if 0 <= deed.end <= cut]
    begun = [deed for deed in deeds if deed.begin <= cut and deed not in done][:1]
    possible = [state_after(done), state_after([*done, *begun])]
    where = f"cut at {cut}, while doing {begun[0].name if begun else 'nothing'}"
    try:
        _judge(directory, possible, [*done, *begun])
    except (Corrupt, Refusal, apsw.Error) as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
    except AssertionError as error:
        raise AssertionError(f"{where}: {error}") from error


def _judge(directory: Path, possible: Sequence[State], deeds: Sequence[Deed]) -> None:
    story = Story(directory)
    try:
        story.clock.at_ms = BEGIN_MS + 40 * DAY_MS
        found = observe(story)
        _compare(found, possible)
        story.state = found
        check_whole(story)
        _send_again(story, deeds)
        story.seal_all()
        _compare(observe(story), [story.state])
        check_whole(story)
    finally:
        story.close()


def _compare(found: State, possible: Sequence[State]) -> None:
    for state in possible:
        if (found.rows, found.records, found.ledger) == (state.rows, state.records, state.ledger):
            assert found.sealed_through in {one.sealed_through for one in possible}, "sealed through another seq"
            found.runs = state.runs
            return
    least, most = possible[0], possible[-1]
    for seq in least.rows.keys() & most.rows.keys():
        assert seq in found.rows, f"seq {seq} was answered yes and is not there"
    for seq, row in found.rows.items():
        assert seq in least.rows or seq in most.rows, f"seq {seq} is there and nobody sent it"
        assert row in (least.rows.get(seq), most.rows.get(seq)), f"seq {seq} is another fix"
    for number, record in least.records.items():
        assert found.records.get(number) in (record, most.records.get(number)), f"record {number} is another"
    raise AssertionError("a commit is there in part")


def observe(story: Story) -> State:
    """Everything that a reader finds, three ways that must agree: by arrival, by time, and as a follower."""
    engine, reader = story.engine, story.reader
    state = State(sealed_through=engine.sealed_through)
    with reader.snapshot() as snapshot:
        query = snapshot.connection.execute
        orgs = {org for (org,) in query("SELECT org FROM block UNION SELECT org FROM org_day")}
        dropped = dict(query("SELECT org, through FROM dropped"))
        assert snapshot.head() == engine.head
    for org in sorted(orgs):
        state.take(fed(reader, OrgId(org), Seq(dropped.get(org, 0)), engine.head))
    _check_history(reader, state, engine.head)
    _check_stretch(reader, state)
    _follow_records(reader, state)
    for entry in reader.read_ledger(*SHARE, 0, 1 << 40, 1 << 30):
        state.ledger[entry.minute, entry.writer] = entry.body
    return state


def fed(reader: LogReader, org: OrgId, after: Seq, head: Seq) -> list[Block]:
    blocks = []
    page = PAGE if head < MANY_ROWS else LONG_PAGE
    while after < head:
        block, reached = reader.read_after(org, after, head, page, None)
        assert reached > after, "a page that leads nowhere"
        assert block.seqs.size == 0 or (after < block.seqs[0] and block.seqs[-1] <= reached)
        assert (np.diff(block.seqs) > 0).all(), "out of order"
        blocks.append(block)
        after = reached
    return blocks


def _check_history(reader: LogReader, state: State, head: Seq) -> None:
    by_asset: dict[tuple[int, int], list[bytes]] = {}
    for org, data in state.rows.values():
        by_asset.setdefault((org, moment_of(data)[0]), []).append(data)
    for (org, asset), rows in by_asset.items():
        (found,) = reader.read_range(OrgId(org), [AssetId(asset)], [0], 1 << 41, head, 1 << 30)
        wanted = sorted(rows, key=moment_of)
        assert rows_of(found) == wanted, f"history of asset {asset} differs from its feed"
        middle = moment_of(wanted[len(wanted) // 2])[1]
        at = reader.read_at(OrgId(org), [AssetId(asset)], middle, head)
        assert at.tobytes() == wanted[len(wanted) // 2], f"asset {asset} at {middle} is another fix"


def _check_stretch(reader: LogReader, state: State) -> None:
    unsealed = {seq: row for seq, row in state.rows.items() if seq > state.sealed_through}
    followed = State()
    after: Seq | None = None
    while True:
        stretch = reader.read_stretch(after, 1 << 60)
        followed.take(stretch.blocks)
        after = stretch.reached
        if stretch.is_end:
            break
    assert followed.rows == unsealed, "a follower sees other fixes"


def _follow_records(reader: LogReader, state: State) -> None:
    for record in reader.read_stretch(None, 0).records:
        state.records[record.id] = record
    for record in reader.read_stretch(None, 1).records:  # deleted ones are told only to who was there before
        state.records[record.id] = record


def check_whole(story: Story) -> None:
    """SQLite and the checksums find no fault."""
    connection = apsw.Connection(str(story.directory / FILE_NAME))
    try:
        answers = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    finally:
        connection.close()
    assert answers == ["ok"], answers
    for day in story.days.days():
        verify(story.days, day)


def _send_again(story: Story, deeds: Sequence[Deed]) -> None:
    """Everything that was ever sent: only what is not there is stored, with the seqs that follow."""
    appends = [append for deed in deeds for append in deed.sent]
    sent = {moment_of(data) for append in appends for part in append for data in rows_of(part.fixes)}
    before, there = story.engine.head, story.state.moments()
    done = story.append(*({part.org: part.fixes for part in append} for append in appends))
    stored = [moment_of(data) for block in done.committed.blocks for data in rows_of(block.fixes)]
    seqs = [seq for block in done.committed.blocks for seq in block.seqs.tolist()]
    assert sorted(stored) == sorted(sent - there), "sending again stored something else than what was missing"
    assert seqs == list(range(before + 1, before + 1 + len(seqs))), "seqs do not go on"
