# A module, and one instance of it for each zone.
variable "zones" {
  type    = map(string)
  default = { a = "10.0.0.0/24", b = "10.0.1.0/24" }
}

resource "terraform_data" "vpc" {
  input = { cidr = "10.0.0.0/16", name = "main" }
}

module "subnet" {
  source   = "./modules/subnet"
  for_each = var.zones
  zone     = each.key
  cidr     = each.value
}
