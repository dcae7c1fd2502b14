package trackside

default track = false

track = true { input.push.branch == "main" } else = false { input.push.branch != "" }

sample { true }
