package spacelift

trigger contains input.stack.id if {
	input.run.state == "FAILED"
	input.run.type == "TRACKED"
	is_null(input.run.triggered_by)
}
