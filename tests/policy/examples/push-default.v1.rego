package spacelift

# The default policy, written down: only what the stack owns counts, tags do not.
track if {
	affected
	input.push.branch == input.stack.branch
}

propose if affected

propose if affected_pr

ignore if {
	not affected
	not affected_pr
}

ignore if input.push.tag != ""

affected if {
	some file in input.push.affected_files
	owns(file)
}

affected_pr if {
	some file in input.pull_request.diff
	owns(file)
}

root := trim(input.stack.project_root, "/")

owns(_) if root == ""

owns(file) if file == root

owns(file) if startswith(file, sprintf("%s/", [root]))

owns(file) if {
	some pattern in input.stack.additional_project_globs
	glob.match(trim(pattern, "/"), ["/"], file)
}
