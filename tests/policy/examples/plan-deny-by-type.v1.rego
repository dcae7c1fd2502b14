package spacelift

denied := {"aws_iam_user", "aws_iam_access_key"}

deny contains sprintf("%s may not be created (%s)", [resource.type, resource.address]) if {
	some resource in created_resources
	resource.type in denied
}

warn contains sprintf("%s is destroyed", [resource.address]) if {
	some resource in deleted_resources
	input.spacelift.run.type == "TRACKED"
}

deny contains "that endpoint is forbidden" if {
	some resource in affected_resources
	resource.change.after.endpoint == sanitized("forbidden.example/hook")
}
