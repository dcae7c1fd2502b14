resource "terraform_data" "bucket" {
  for_each = toset(["assets", "backups", "logs"])
  input    = { name = "acme-${each.key}", versioned = each.key != "logs" }
}
