"""The default push policy as Rego: what stacks without a push policy are decided by, for reading and for starting from.

`app.core.pushpolicy` is the same in Python, and what is asked; a property test holds both equal.
"""

from typing import Final

DEFAULT_PUSH: Final = """package trackside

# A push that touches the stack's files: tracked on its branch, proposed elsewhere. Tags are ignored.
track if {
	affected
	input.push.branch != ""
	input.push.branch == input.stack.branch
}

propose if affected

propose if affected_by_pull_request

ignore if {
	not affected
	not affected_by_pull_request
}

ignore if input.push.tag != ""

affected if {
	some file in input.push.affected_files
	owns(file)
}

affected_by_pull_request if {
	some file in input.pull_request.diff
	owns(file)
}

root := trim(input.stack.project_root, "/")

# By path segments: infra/net does not own infra/network2.
owns(_) if root == ""

owns(file) if file == root

owns(file) if startswith(file, concat("", [root, "/"]))

owns(file) if {
	some pattern in patterns
	glob.match(pattern, ["/"], file)
}

# `**` may stand for no folder at all: a/** is also a, and a/**/b is also a/b.
patterns contains trim(pattern, "/") if some pattern in input.stack.additional_project_globs

patterns contains regex.replace(trim(pattern, "/"), `(^|/)\\*\\*/`, "$1") if {
	some pattern in input.stack.additional_project_globs
}

patterns contains trim_suffix(trim(pattern, "/"), "/**") if some pattern in input.stack.additional_project_globs
"""
