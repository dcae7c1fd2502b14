package spacelift

run = input.run_updated.run

slack[{"channel_id": "C1", "message": msg}] {
	run.state == "FAILED"
	msg := sprintf("%s failed", [input.run_updated.stack.id])
}

webhook[{"endpoint_id": hook.id, "payload": {"run": run.id}}] {
	hook := input.webhook_endpoints[_]
	hook.labels[_] == "prod"
}

pull_request[{"id": run.creator_pr, "body": "planned", "deduplication_key": "plan"}] { run.state == "FINISHED"; run.creator_pr }

inbox[{"title": "failed", "body": run.id, "severity": "ERROR"}] { run.state == "FAILED" }
