package spacelift

approvals = input.reviews.current.approvals

approve { count(approvals) > 1 }

approve { input.run.type != "TRACKED" }

reject { count(input.reviews.current.rejections) > 0 }

approve_with_note[note] { approve; note := sprintf("%d approvals", [count(approvals)]) }
