package spacelift

track { input.push.branch == input.stack.branch }

notrigger { contains(input.push.message, "[skip]") }

ignore_track { all([startswith(f, "docs/") | f = input.push.affected_files[_]]) }

propose { true }
