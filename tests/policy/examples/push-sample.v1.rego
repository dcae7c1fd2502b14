package trackside

default track := false

track if {
	input.push.branch == "main"
} else := false if {
	input.push.branch != ""
}

sample := true
