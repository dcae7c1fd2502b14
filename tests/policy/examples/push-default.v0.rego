package spacelift

# The default policy, written down: only what the stack owns counts, tags do not.
track {
	affected
	input.push.branch == input.stack.branch
}

propose { affected }

propose { affected_pr }

ignore {
	not affected
	not affected_pr
}

ignore { input.push.tag != "" }

affected { in_root(input.push.affected_files[_]) }

affected { in_globs(input.push.affected_files[_]) }

affected_pr { in_root(input.pull_request.diff[_]) }

affected_pr { in_globs(input.pull_request.diff[_]) }

root = trim(input.stack.project_root, "/")

in_root(file) { root == "" }

in_root(file) { file == root }

in_root(file) { startswith(file, sprintf("%s/", [root])) }

in_globs(file) {
	pattern := input.stack.additional_project_globs[_]
	glob.match(trim(pattern, "/"), ["/"], file)
}
