package spacelift

track if input.push.branch == input.stack.branch

notrigger if contains(input.push.message, "[skip]")

ignore_track if {
	every file in input.push.affected_files {
		startswith(file, "docs/")
	}
}

propose := true
