# A few things that later commits create, update, replace and delete.
variable "release" {
  type    = string
  default = "1.0.0"
}

resource "terraform_data" "release" {
  input = { version = var.release, replicas = 2 }
}

resource "terraform_data" "schema" {
  input            = "users, orders"
  triggers_replace = ["v1"]
}

resource "terraform_data" "legacy_worker" {
  input = "polls a queue that nobody fills"
}

output "version" { value = terraform_data.release.output.version }

output "database_password" {
  value     = "correct horse battery staple"
  sensitive = true
}
