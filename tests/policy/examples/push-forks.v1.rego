package spacelift

propose := true

allow_fork if input.pull_request.head_owner in {"octo", "friends"}
