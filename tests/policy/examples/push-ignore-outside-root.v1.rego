package spacelift

track if input.push.branch == input.stack.branch

ignore if not affected

message contains "nothing of this stack changed" if ignore

notify if ignore

affected if {
	some file in input.push.affected_files
	startswith(file, input.stack.project_root)
}
