package spacelift

lock_id = sprintf("PR_ID_%d", [input.pull_request.id])

opening = {"opened", "reopened", "synchronize"}

lock = lock_id { opening[input.pull_request.action] }

unlock = lock_id { input.pull_request.action == "closed" } { input.pull_request.action == "merged" }

propose { not is_null(input.pull_request) }
