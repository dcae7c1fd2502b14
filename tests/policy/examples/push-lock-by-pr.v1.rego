package spacelift

lock_id := sprintf("PR_ID_%d", [input.pull_request.id])

lock := lock_id if input.pull_request.action in {"opened", "reopened", "synchronize"}

unlock := lock_id if input.pull_request.action == "closed"

unlock := lock_id if input.pull_request.action == "merged"

propose if not is_null(input.pull_request)
