package spacelift

track if input.push.branch == input.stack.branch

prioritize if {
	track
	startswith(input.push.message, "hotfix:")
}
