package spacelift

is_pr if not is_null(input.pull_request)

labeled if "deploy" in input.pull_request.labels

track if {
	is_pr
	labeled
}

propose := true
