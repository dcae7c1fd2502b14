package spacelift

comment = input.pull_request.comment { input.pull_request.action == "commented" }

trusted { input.pull_request.action_initiator == {"alice", "bob"}[_] }

track { trusted; comment == concat(" ", ["/spacelift", "deploy", input.stack.id]) }

propose { comment == concat(" ", ["/spacelift", "propose", input.stack.id]) }

unlock = key { trusted; comment == concat(" ", ["/spacelift", "unlock", input.stack.id]); key := sprintf("PR_ID_%d", [input.pull_request.id]) }
