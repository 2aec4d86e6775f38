"""When the supervisor is killed, its services die with it, and the next one carries on with the same data."""

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
from confluent_kafka.admin import AdminClient
from governor.local.broker import Broker
from governor.local.database import Database
from governor.local.processes import started_ticks, working_in

WAIT_S = 60.0


def test_the_services_of_a_killed_supervisor_are_gone_and_a_new_one_carries_on(tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from governor.local.broker import Broker
        from governor.local.database import Database
        folder = Path({str(tmp_path)!r})
        broker, database = Broker(folder / "kafka"), Database(folder / "postgres")
        broker.start()
        database.start()
        (folder / "pids").write_text(f"{{broker.child.pid}} {{database.child.pid}}\\n")
        time.sleep(600)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)]) as supervisor:
        deadline = time.monotonic() + WAIT_S
        while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text().endswith("\n"):
            assert time.monotonic() < deadline, "the services did not start"
            assert supervisor.poll() is None, "the supervisor ended"
            time.sleep(0.05)
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        supervisor.kill()

    broker, database = Broker(tmp_path / "kafka"), Database(tmp_path / "postgres")
    broker.start()
    database.start()

    assert [started_ticks(pid) for pid in pids] == [None, None]
    assert AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=20).cluster_id == broker.cluster_id
    with psycopg.connect(database.dsn()) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    database.stop()
    broker.stop()
    assert not broker.is_alive()
    assert working_in(tmp_path / "postgres" / "cluster") == []
