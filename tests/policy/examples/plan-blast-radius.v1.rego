package spacelift

weight := {"create": 1, "update": 2, "delete": 5}

score := sum([weight[action] |
	some change in input.terraform.resource_changes
	some action in change.change.actions
])

warn contains sprintf("a change of weight %d", [score]) if score > 5

deny contains sprintf("too large: %d", [score]) if score > 20

warn contains sprintf("%s is replaced", [r.address]) if some r in recreated_resources

flag contains "updates" if count(updated_resources) > 0
