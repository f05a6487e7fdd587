"""HiveMQ CE, embedded in a small program of ours (`tests/peers/hivemq`), with a `credentials.xml`.

`python -m tests.hivemq` (which `make peers` runs) fetches its jars with Maven and compiles the program; the tests only look
whether that was done. The community extension itself is not on Maven Central; the program does what it does: it makes
HiveMQ's own default permissions of the file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).parent / "peers" / "hivemq"
FOLDER = Path(os.environ.get("NEXUS_TEST_HIVEMQ", SOURCE / "target"))
"""With `lib/*.jar` and `classes/Broker.class`."""
CONFIGURATION = """\
<?xml version="1.0"?>
<hivemq>
    <listeners><tcp-listener><port>{port}</port><bind-address>127.0.0.1</bind-address></tcp-listener></listeners>
    <persistence><mode>in-memory</mode></persistence>
    <anonymous-usage-statistics><enabled>false</enabled></anonymous-usage-statistics>
</hivemq>
"""


def prepare(folder: Path) -> str:
    """Fetch and compile; "" when it is ready, else what is missing."""
    missing = [name for name in ("mvn", "javac") if shutil.which(name) is None]
    if missing:
        return f"{' and '.join(missing)} missing"
    fetch = ["mvn", "-q", "-B", "-f", str(SOURCE / "pom.xml"), "dependency:copy-dependencies"]
    done = subprocess.run([*fetch, f"-DoutputDirectory={folder / 'lib'}"], check=False)
    if done.returncode == 0:
        classes = ["-proc:none", "-cp", str(folder / "lib" / "*"), "-d", str(folder / "classes")]
        done = subprocess.run(["javac", *classes, str(SOURCE / "Broker.java")], check=False)
    return "" if done.returncode == 0 else f"{done.args[0]} ended with {done.returncode}"


def problem() -> str:
    """Why there is no HiveMQ CE here; "" when there is one."""
    if shutil.which("java") is None:
        return "no Java for HiveMQ CE"
    if not (FOLDER / "classes" / "Broker.class").is_file() or not any((FOLDER / "lib").glob("*embedded*.jar")):
        return f"no HiveMQ CE in {FOLDER}: `make peers` (mvn and javac); NEXUS_TEST_HIVEMQ names another folder"
    return ""


@contextmanager
def running_hivemq(folder: Path, credentials: str, port: int) -> Iterator[None]:
    """HiveMQ CE on loopback with these users and permissions, until the block ends."""
    for name in ("conf", "data", "extensions"):
        (folder / name).mkdir(parents=True)
    (folder / "conf" / "config.xml").write_text(CONFIGURATION.format(port=port), encoding="utf-8")
    file = folder / "credentials.xml"
    file.write_text(credentials, encoding="utf-8")
    path = os.pathsep.join([str(FOLDER / "lib" / "*"), str(FOLDER / "classes")])
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", path, "Broker", str(folder), str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=folder,
        )
        assert child.stdin is not None and child.stdout is not None
        try:
            said = []
            while line := child.stdout.readline():
                said.append(line.decode(errors="replace"))
                if line.strip() == b"ready":
                    break
            assert line, "".join(said) + (folder / "log").read_text()
            yield
        finally:
            child.stdin.close()
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(15)
            child.stdout.close()


if __name__ == "__main__":
    told = prepare(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
    if told:
        sys.exit(told)
