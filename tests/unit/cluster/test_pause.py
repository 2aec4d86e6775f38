import hashlib
import json
import tarfile
from pathlib import Path

from cluster.pause import PAUSE_IMAGE, write_archive


def test_an_image_archive_names_its_parts_by_their_content(tmp_path: Path):
    (tmp_path / "program").write_bytes(b"program")

    write_archive(tmp_path / "program", tmp_path / "image.tar")

    with tarfile.open(tmp_path / "image.tar") as archive:
        files = {entry.name: archive.extractfile(entry).read() for entry in archive.getmembers()}  # type: ignore[union-attr]
    (named,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[blob(named)])
    assert named["annotations"]["io.containerd.image.name"] == PAUSE_IMAGE
    for reference in (named, manifest["config"], *manifest["layers"]):
        content = files[blob(reference)]
        assert reference["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}"
        assert reference["size"] == len(content)
    assert json.loads(files[blob(manifest["config"])])["config"]["Entrypoint"] == ["/pause"]


def test_the_same_program_makes_the_same_archive(tmp_path: Path):
    (tmp_path / "program").write_bytes(b"program")
    for name in ("one.tar", "two.tar"):
        write_archive(tmp_path / "program", tmp_path / name)

    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def blob(reference: dict[str, str]) -> str:
    return f"blobs/sha256/{reference['digest'].removeprefix('sha256:')}"
