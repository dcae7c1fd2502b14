package spacelift

trigger[input.stack.id] {
	input.run.state == "FAILED"
	input.run.type == "TRACKED"
	is_null(input.run.triggered_by)
}
