package spacelift

# Only release tags are deployed.
track if regex.match(`^v\d+\.\d+\.\d+$`, input.push.tag)

propose if input.push.branch != ""

ignore if {
	not track
	not propose
}
