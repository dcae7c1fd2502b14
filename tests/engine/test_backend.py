"""Who keeps a stack's state is read from its configuration, and never guessed."""

from pathlib import Path

import pytest

from app.core.errors import UserError
from app.engine.backend import implied_state_mode


@pytest.mark.parametrize(
    ("name", "text", "mode"),
    [
        ("main.tf", 'resource "terraform_data" "a" {}', "managed"),
        ("main.tf", 'terraform {\n  required_version = ">= 1"\n  backend "s3" { bucket = "b" }\n}', "external"),
        ("main.tf", 'terraform {\n  cloud {\n    organization = "o"\n  }\n}', "external"),
        ("main.tf", '# terraform { backend "s3" {} }\nlocals { backend = "x" }', "managed"),
        ("main.tf", 'resource "x_backend" "a" {\n  backend {\n  }\n}', "managed"),
        ("main.tf", 'locals {\n  t = <<-EOT\n  terraform { backend "s3" {} }\n  EOT\n}', "managed"),
        ("main.tofu", 'terraform {\n  backend "local" {}\n}', "external"),
        ("main.tf.json", '{"terraform": {"backend": {"s3": {}}}}', "external"),
        ("main.tf.json", '{"terraform": [{"required_version": "1"}, {"cloud": [{}]}]}', "external"),
        ("main.tf.json", '{"terraform": {"\\u0062ackend": {"s3": {}}}}', "external"),
        ("main.tf.json", '{"locals": {"backend": 1}}', "managed"),
        ("main.txt", 'terraform {\n  backend "s3" {}\n}', "managed"),
    ],
)
def test_a_backend_or_cloud_block_means_external(tmp_path: Path, name: str, text: str, mode: str) -> None:
    (tmp_path / name).write_text(text)
    assert implied_state_mode(tmp_path) == mode


def test_a_module_in_a_folder_below_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "main.tf").write_text('terraform {\n  backend "s3" {}\n}')
    assert implied_state_mode(tmp_path) == "managed"


@pytest.mark.parametrize(("name", "text"), [("a.tf", 'terraform { backend "s3" {'), ("a.tf.json", '{"backend": ')])
def test_a_file_that_cannot_be_read_fails_closed(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=rf"reading {name}: not readable as .*set `state: managed`"):
        implied_state_mode(tmp_path)


def test_a_folder_that_is_not_there_fails_closed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot tell who keeps the state"):
        implied_state_mode(tmp_path / "gone")


def test_what_would_keep_the_parser_busy_for_long_is_not_parsed(tmp_path: Path) -> None:
    """The parser lets nothing else of the worker go on, heartbeats of other runs among it: two seconds a megabyte."""
    for number in range(3):
        (tmp_path / f"{number}.tf").write_text("# backend\n" + "a = 1\n" * 150_000)
    with pytest.raises(UserError, match=r"more than 2097152 bytes to look through: cannot tell who keeps the state"):
        implied_state_mode(tmp_path)


def test_only_what_can_be_a_block_of_a_backend_is_parsed(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.tf").write_text("# terraform: cloudwatch, my_backend\n" + "a = 1\n" * 150_000)
    (tmp_path / "main.tf").write_text('terraform {\n  backend "s3" {}\n}')
    assert implied_state_mode(tmp_path) == "external"
