"""Where an address is described: its file and lines, in this repository's modules too, and never outside of it."""

from pathlib import Path

import pytest

from app.core.plan import Block
from app.engine.hclblocks import MAX_FILE_BYTES, find_blocks

ROOT = """\
resource "terraform_data" "one" {
  input = "x"
}

resource "terraform_data" "many" { for_each = toset(["a"]) }

data "terraform_remote_state" "other" { backend = "local" }
output "said" { value = 1 }
check "health" {
  assert {
    condition     = true
    error_message = "x"
  }
}
removed {
  from = terraform_data.left
  lifecycle { destroy = false }
}
module "near" { source = "../modules/near" }
module "far" {
  source  = "acme/far/aws"
  version = "1.0"
}
module "up" { source = "../../../outside" }
"""
LINED = """\
{
  "//": "a { that \\"opens\\" nothing",
  "resource": [
    {
      "terraform_data": {
        "lined": {
          "count": 9,
          "input": "${jsonencode({\\"a\\" = \\"}\\"})}"
        },
\t"other" : null },
      "null_resource": [{
        "x": {} }, { "y": {} }] }, {"terraform_data": {"listed": [{}, {}]}}
  ],
  "data": {"terraform_remote_state": [{
    "json": {
      "backend": "local"
    }
  }]},
  "output": {"json": {"value": "\u00e9"}},
  "removed": [{
    "from": "terraform_data.left_too"
  }],
  "module": {"json": {"source": "../modules/near"}}
}
"""
NEAR = 'resource "terraform_data" "inner" {\n}\nmodule "nearer" { source = "./nearer" }\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "source"
    for name, text in {
        "infra/main.tf": ROOT,
        "infra/more.tofu": '\n\nresource "terraform_data" "tofu" {}\n',
        "infra/broken.tf": 'resource "terraform_data" "half" {\n  input = [\n',
        "infra/other.tf.json": '{"resource": {"terraform_data": {"json": {}}}}',
        "infra/lined.tf.json": LINED,
        "infra/cut.tf.json": '{"resource": {"terraform_data": {"lost": {}}}',
        "infra/deep.tofu.json": "[" * 100_000,
        "infra/odd.tf.json": '[1, {"module": {"scalar": 3}, "resource": "x", "check": [[{}]]}, {"removed": {}}]',
        "infra/names.tf.json": """{"module": {
            "null": {"source": "./\\u0000"},
            "half": {"source": "./\\ud800"}}}""",
        "infra/latin.tf.json": '{"resource": {"terraform_data": {"nowhere": {"input": "\udcff"}}}}',
        "modules/near/main.tf": NEAR,
        "modules/near/nearer/x.tf": 'resource "terraform_data" "innermost" {}\n',
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "main.tf").write_text('resource "terraform_data" "secret" {}\n')
    return root


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("terraform_data.one", ("infra/main.tf", 1, 3)),
        ('terraform_data.many["a"]', ("infra/main.tf", 5, 5)),
        ("data.terraform_remote_state.other", ("infra/main.tf", 7, 7)),
        ("output.said", ("infra/main.tf", 8, 8)),
        ("check.health", ("infra/main.tf", 9, 14)),
        ("terraform_data.left", ("infra/main.tf", 15, 18)),
        ("terraform_data.tofu", ("infra/more.tofu", 3, 3)),
        ('module.near["x.y"].terraform_data.inner[0]', ("modules/near/main.tf", 1, 2)),
        ("module.near.module.nearer.terraform_data.innermost", ("modules/near/nearer/x.tf", 1, 1)),
        ("module.far.aws_vpc.this", ("infra/main.tf", 20, 23)),
        ("module.far.module.deeper.aws_vpc.this", ("infra/main.tf", 20, 23)),
        ("module.up.terraform_data.secret", ("infra/main.tf", 24, 24)),
        ("module.gone.terraform_data.x", None),
        ("module.near.terraform_data.gone", None),
        ("terraform_data.json", ("infra/other.tf.json", 1, 1)),
        ("terraform_data.lined[3]", ("infra/lined.tf.json", 6, 9)),
        ("terraform_data.listed", ("infra/lined.tf.json", 12, 12)),
        ("data.terraform_remote_state.json", ("infra/lined.tf.json", 15, 17)),
        ("output.json", ("infra/lined.tf.json", 19, 19)),
        ("terraform_data.left_too", ("infra/lined.tf.json", 20, 22)),
        ('module.json["a"].terraform_data.inner', ("modules/near/main.tf", 1, 2)),
        ("module.scalar.x", ("infra/odd.tf.json", 1, 1)),
        ("module.null.x", ("infra/names.tf.json", 2, 2)),
        ("module.half.x", ("infra/names.tf.json", 3, 3)),
        ("terraform_data.lost", None),
        ("terraform_data.nowhere", None),
        ("terraform_data.gone", None),
        ("", None),
        ("module.near", ("infra/main.tf", 19, 19)),
    ],
)
def test_an_address_is_found_where_it_is_described(
    checkout: Path, address: str, found: tuple[str, int, int] | None
) -> None:
    blocks = find_blocks(checkout, "infra", [address])
    assert [(one.path, one.start_line, one.end_line) for one in blocks] == ([found] if found else [])


def test_every_address_is_told_once_without_its_keys(checkout: Path) -> None:
    blocks = find_blocks(checkout, "infra", ['terraform_data.many["a"]', 'terraform_data.many["b"]'])
    assert blocks == (Block(address="terraform_data.many", path="infra/main.tf", start_line=5, end_line=5),)


def test_links_that_lead_out_are_not_followed(checkout: Path) -> None:
    (checkout / "infra" / "linked.tf").symlink_to(checkout.parent / "outside" / "main.tf")
    (checkout / "modules" / "linked").symlink_to(checkout.parent / "outside")
    (checkout / "infra" / "call.tf").write_text('module "linked" { source = "../modules/linked" }\n')
    assert find_blocks(checkout, "infra", ["terraform_data.secret", "module.linked.terraform_data.secret"]) == ()


def test_modules_that_call_themselves_and_files_that_are_too_large_end(checkout: Path) -> None:
    (checkout / "infra" / "self.tf").write_text('module "self" { source = "./" }\n')
    assert find_blocks(checkout, "infra", ["module.self." * 50 + "terraform_data.nothing"]) == ()
    large = 'resource "terraform_data" "large" {}\n' + "#" * MAX_FILE_BYTES
    (checkout / "infra" / "large.tf").write_text(large)
    assert find_blocks(checkout, "infra", ["terraform_data.large"]) == ()
    assert find_blocks(checkout, "nowhere", ["terraform_data.one"]) == ()
