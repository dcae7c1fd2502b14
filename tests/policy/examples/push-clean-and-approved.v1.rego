package spacelift

track if {
	input.push.branch == input.stack.branch
	is_null(input.pull_request)
}

track if {
	is_pr
	is_clean
	input.pull_request.approved
	"deploy" in input.pull_request.labels
}

propose if is_pr

is_pr if not is_null(input.pull_request)

is_clean if {
	input.pull_request.mergeable
	input.pull_request.undiverged
}
