"""The doors for HTTP: webhook, worker API, managed state, pages, health. What they open is handed in (`doors.Doors`).

A door checks size, form and credentials, calls one thing, and turns its answer into a response. It knows no SQL, no
GitHub and no key; expected ends are values, and the three kinds of error become statuses in one place (`guard`).

    app         composes the routes                 body      request bodies, bounded
    doors       what is called, as Protocols        answers   small responses
    guard       headers, access line, errors        access    who sees pages and metrics
    webhook     POST /webhooks/github               waiting   the long poll
    worker_api  /worker/v1                          transfer  archives, streamed both ways
    state       /state/<stack>                      metrics   counters here, gauges from the store
    pages       what people read                    visible   hostile text made harmless and visible
    health      /healthz /readyz /metrics           look      what the pages read, from the store
"""
