"""Records two batches and kills itself before a given SQL statement: `dies.py FOLDER STATEMENT`."""

import os
import signal
import sys
from itertools import count

import dagster as dg
from sqlalchemy import event
from sqlalchemy.engine import Engine

from tests.ledger.catalogue import LEDGERS, mel, new_run, recording


def main(folder: str, last: int) -> None:
    with dg.DagsterInstance.local_temp(folder) as instance:
        ledger = LEDGERS["batched"](instance)
        run = new_run()
        ledger.record(run, [recording("first"), mel("first")])
        statements = count(1)

        @event.listens_for(Engine, "before_cursor_execute")
        def die(connection, cursor, statement, *rest):
            if not statement.startswith("PRAGMA") and next(statements) == last:
                os.kill(os.getpid(), signal.SIGKILL)

        ledger.record(run, [recording("second"), mel("second")])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
