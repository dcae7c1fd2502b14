package spacelift

track { input.push.branch == input.stack.branch; is_null(input.pull_request) }

track { is_pr; is_clean; input.pull_request.approved; input.pull_request.labels[_] == "deploy" }

propose { is_pr }

is_pr { not is_null(input.pull_request) }

is_clean { input.pull_request.mergeable; input.pull_request.undiverged }
