package spacelift

track { input.push.branch == input.stack.branch }

ignore { not affected }

message["nothing of this stack changed"] { ignore }

notify { ignore }

affected {
	some i
	startswith(input.push.affected_files[i], input.stack.project_root)
}
