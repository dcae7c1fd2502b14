package spacelift

track { input.push.branch == input.stack.branch }

prioritize { track; startswith(input.push.message, "hotfix:") }
