package spacelift

propose { true }

allow_fork {
	owners := {"octo", "friends"}
	owners[input.pull_request.head_owner]
}
