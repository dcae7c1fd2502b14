package spacelift

track if input.push.branch == input.stack.branch

flag contains "reviewed" if input.push.author == "alice"

reset_flag contains "untested" if {
	some file in input.push.affected_files
	endswith(file, "tested.txt")
}
