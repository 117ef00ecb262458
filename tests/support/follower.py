"""A consumer of the feed as integrators write it with the vendor's SDK; keeps the cursor where it keeps the data.

`python -m tests.support.follower URL TOKEN FILE`: each page is appended to FILE as one line of JSON with its
cursor, and told in a line on stdout. It goes on from the cursor of the last whole line. Once its stdin is closed
it ends, as soon as nothing more comes.
"""

from __future__ import annotations

import json
import select
import sys
from pathlib import Path

from samsara import Samsara

POLL_EVERY_S = 0.2


def last_cursor(path: Path) -> str | None:
    """Where to go on; a line that a kill cut off is dropped, for its page comes again."""
    if not path.exists():
        return None
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    path.write_bytes(whole + b"\n" if whole else b"")
    return str(json.loads(whole.rpartition(b"\n")[2])["cursor"]) if whole else None


def follow(url: str, token: str, path: Path) -> None:
    """Poll until stdin is closed and a poll that began after that was empty."""
    client = Samsara(base_url=url, token=token)
    cursor = last_cursor(path)
    with path.open("a") as kept:
        while True:
            is_ending = bool(select.select([sys.stdin], [], [], 0)[0])
            page = client.vehicle_locations.get_vehicle_locations_feed(after=cursor)
            cursor = page.pagination.end_cursor
            fixes = [
                [one.id, fix.time, fix.latitude, fix.longitude, fix.heading, fix.speed]
                for one in page.data
                for fix in one.locations
            ]
            kept.write(json.dumps({"cursor": cursor, "fixes": fixes}) + "\n")
            kept.flush()
            sys.stdout.write(f"{len(fixes)}\n")
            sys.stdout.flush()
            if not page.pagination.has_next_page and not fixes:
                if is_ending:
                    return
                select.select([sys.stdin], [], [], POLL_EVERY_S)


if __name__ == "__main__":
    follow(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
