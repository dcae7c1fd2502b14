package spacelift

is_pr { not is_null(input.pull_request) }

labeled { input.pull_request.labels[_] == "deploy" }

track { is_pr; labeled }

propose { true }
