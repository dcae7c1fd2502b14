package spacelift

denied = {"aws_iam_user", "aws_iam_access_key"}

deny[sprintf("%s may not be created (%s)", [resource.type, resource.address])] {
	some resource
	created_resources[resource]
	denied[resource.type]
}

warn[sprintf("%s is destroyed", [resource.address])] {
	resource := deleted_resources[_]
	input.spacelift.run.type == "TRACKED"
}

deny["that endpoint is forbidden"] {
	affected_resources[_].change.after.endpoint == sanitized("forbidden.example/hook")
}
