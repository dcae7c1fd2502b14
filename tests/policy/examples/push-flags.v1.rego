package spacelift

track if input.push.branch == input.stack.branch

flag contains "reviewed" if input.push.author == "alice"

reset_flag contains "untested" if "ci/tested.txt" in input.push.affected_files
