package spacelift

track { input.push.branch == input.stack.branch }

flag["reviewed"] { input.push.author == "alice" }

reset_flag["untested"] { any([endswith(f, "tested.txt") | f := input.push.affected_files[_]]) }
