package spacelift

track { input.push.branch == input.stack.branch }

flag["reviewed"] { input.push.author == "alice" }

reset_flag["untested"] { any([f == "ci/tested.txt" | f := input.push.affected_files[_]]) }
