package spacelift

# Any push to the tracked branch is deployed, anything else is previewed.
track {
	input.push.branch == input.stack.branch
	input.push.branch != ""
}

propose { input.push.branch != input.stack.branch }

ignore { input.push.tag != "" }
