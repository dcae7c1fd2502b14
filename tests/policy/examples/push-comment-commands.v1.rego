package spacelift

comment := input.pull_request.comment if input.pull_request.action == "commented"

trusted if input.pull_request.action_initiator in {"alice", "bob"}

track if {
	trusted
	comment == concat(" ", ["/spacelift", "deploy", input.stack.id])
}

propose if comment == concat(" ", ["/spacelift", "propose", input.stack.id])

unlock := sprintf("PR_ID_%d", [input.pull_request.id]) if {
	trusted
	comment == concat(" ", ["/spacelift", "unlock", input.stack.id])
}
