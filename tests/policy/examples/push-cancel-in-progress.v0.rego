package spacelift

propose { true }

cancel[run.id] {
	run := input.in_progress[_]
	run.type == "PROPOSED"
	run.state == "QUEUED"
	run.branch == input.push.branch
}
