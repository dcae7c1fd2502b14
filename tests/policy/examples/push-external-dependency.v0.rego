package spacelift

track { input.push.branch == input.stack.branch }

external_dependency[dep] { dep := sprintf("%s-binaries", [input.push.hash]) }

external_dependency["image-scan"] { input.stack.labels[_] == "prod" }
