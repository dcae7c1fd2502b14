package spacelift

trigger contains stack.id if {
	some stack in input.stacks
	input.run.state == "FINISHED"
	input.run.type == "TRACKED"
	concat("", ["depends-on:", input.stack.id]) in stack.labels
}
