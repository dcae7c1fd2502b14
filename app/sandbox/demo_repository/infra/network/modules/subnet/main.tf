variable "zone" { type = string }
variable "cidr" { type = string }

resource "terraform_data" "this" {
  input = { zone = var.zone, cidr = var.cidr }
}

output "cidr" { value = terraform_data.this.output.cidr }
