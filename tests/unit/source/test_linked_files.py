"""A file behind a symbolic link is edited where it lies: the link stays one."""

from __future__ import annotations

from pathlib import Path

from nexus_cli.project.fmt import fmt


def test_fmt_writes_the_file_that_a_link_names(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_text("a:   {b:   1}\n")
    link.symlink_to(real)
    fmt([str(link)], write=True)
    assert link.is_symlink()
    assert real.read_text() == "a: {b: 1}\n" == link.read_text()
