package spacelift

run := input.run_updated.run

slack contains {"channel_id": "C1", "message": msg} if {
	run.state == "FAILED"
	msg := sprintf("%s failed", [input.run_updated.stack.id])
}

webhook contains {"endpoint_id": hook.id, "payload": {"run": run.id}} if {
	some hook in input.webhook_endpoints
	"prod" in hook.labels
}

pull_request contains {"id": run.creator_pr, "body": "planned", "deduplication_key": "plan"} if {
	run.state == "FINISHED"
	run.creator_pr
}

inbox contains {"title": "failed", "body": run.id, "severity": "ERROR"} if run.state == "FAILED"
