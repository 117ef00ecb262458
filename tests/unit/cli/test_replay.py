"""What a replay tells whoever waits for it without a terminal."""

from __future__ import annotations

from odograph.cli.replay import Standstills
from odograph.simulator.replay import Progress
from odograph.simulator.senders import Tally


def test_why_nothing_goes_on_is_said_once_for_each_standstill(capsys):
    show = Standstills()
    for waiting in (
        "",
        "refused; trying again in 1 s",
        "refused; trying again in 2 s",
        "",
        "full; trying again in 5 s",
    ):
        show(Progress(0, 9, Tally(), waiting))
    assert capsys.readouterr().err.splitlines() == [
        "Waiting: refused; trying again in 1 s",
        "Waiting: full; trying again in 5 s",
    ]
