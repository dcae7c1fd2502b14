package spacelift

weight = {"create": 1, "update": 2, "delete": 5}

score = sum([weight[action] | action := input.terraform.resource_changes[_].change.actions[_]])

warn[sprintf("a change of weight %d", [score])] { score > 5 }

deny[sprintf("too large: %d", [score])] { score > 20 }

warn[sprintf("%s is replaced", [r.address])] { recreated_resources[r] }

flag["updates"] { count(updated_resources) > 0 }
