package spacelift

propose if not is_null(input.pull_request)

ignore if input.pull_request.draft

fail if ignore

message contains "drafts are not planned" if input.pull_request.draft
