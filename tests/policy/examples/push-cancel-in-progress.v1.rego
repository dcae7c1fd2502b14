package spacelift

propose := true

cancel contains run.id if {
	some run in input.in_progress
	run.type == "PROPOSED"
	run.state == "QUEUED"
	run.branch == input.push.branch
}
