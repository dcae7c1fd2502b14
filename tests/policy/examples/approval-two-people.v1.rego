package spacelift

approvals := input.reviews.current.approvals

approve if count(approvals) > 1

approve if input.run.type != "TRACKED"

reject if count(input.reviews.current.rejections) > 0

approve_with_note contains sprintf("%d approvals", [count(approvals)]) if approve
