package spacelift

propose { not is_null(input.pull_request) }

ignore { input.pull_request.draft }

fail { ignore }

message["drafts are not planned"] { input.pull_request.draft }
