package spacelift

# Only release tags are deployed.
track { re_match(`^v\d+\.\d+\.\d+$`, input.push.tag) }

propose { input.push.branch != "" }

ignore { not track; not propose }
