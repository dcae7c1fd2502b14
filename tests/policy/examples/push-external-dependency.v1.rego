package spacelift

track if input.push.branch == input.stack.branch

external_dependency contains sprintf("%s-binaries", [input.push.hash])

external_dependency contains "image-scan" if "prod" in input.stack.labels
