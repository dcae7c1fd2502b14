package spacelift

# Any push to the tracked branch is deployed, anything else is previewed.
track if {
	input.push.branch == input.stack.branch
	input.push.branch != ""
}

propose if input.push.branch != input.stack.branch

ignore if input.push.tag != ""
