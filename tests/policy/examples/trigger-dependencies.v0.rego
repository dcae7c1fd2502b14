package spacelift

trigger[stack.id] {
	stack := input.stacks[_]
	input.run.state == "FINISHED"
	input.run.type == "TRACKED"
	stack.labels[_] == concat("", ["depends-on:", input.stack.id])
}
