"""The sandbox: a stand-in for GitHub, true and strict: real git, signed webhooks, GitHub's rules, pages for people.

    github = SandboxGitHub(root)
    with serve_in_thread(github, port=0) as served:                        # .url .api_url .port .stop()
        github.webhook_url = "http://127.0.0.1:8000/webhooks/github"      # None, the default: nothing is sent
        repo = github.create_repository("acme", "infra", files={"main.tf": "..."})
        sha = repo.push(files={"main.tf": "..."}, message="Change")

Addresses: API `url/api`, git `url/OWNER/REPO.git`, pages `url/OWNER/REPO`.

`SandboxGitHub(root: Path, settings: AppSettings | None = None)`
    settings       AppSettings(app_id, client_id, client_secret, callback_urls, slug, name, owner, private_key_pem,
                   webhook_url, webhook_secret, permissions, events), all with defaults
    the App        private_key_pem  app.id  app.client_id  app.client_secret  app.callback_urls  app.slug  webhook_url
                   webhook_secret  server_url  api_url
    accounts       create_user(login)  create_organization(login)  user(login).token
    repositories   create_repository(owner, name, *, private=True, default_branch="main", files=None, installed=True)
                   repo("owner/name")  set_permission(full_name, login, role)  rename_repository(full_name, new_name)
                   delete_repository(full_name)  fork_repository(full_name, by, name=None) -> Repo
    installations  install(account, repositories=None, *, permissions=None)  uninstall(account)
                   suspend(account, suspended=True)  select_repositories(account, names)  installation(account)
                   installation_token(account, permissions=..., repositories=...) -> str  ping()
    deliveries     deliveries (oldest first: guid event action payload status status_code ok redelivery)
                   wait_deliveries()  redeliver(delivery)  post.hold()  post.release(reverse=False)
                   post.double = True  post.lose = n
    trouble        trouble.fail_next(method, path_regex, status=502, times=1, after_work=False)  trouble.clear()
                   trouble.hit_secondary_limit(times=1, retry_after_s=60)  rates.set_remaining(n)
                   trouble.go_down(for_s)  secondary.is_on (GitHub's limits on writing, enforced unless switched off)
                   clock.advance(seconds)  buttons_on_commits = True
                   repo.refuse_check_runs = True  repo.mergeable_is_pending = True  repo.required_approvals = n
    set-up         server_version = "3.11.4": an Enterprise Server; POST /settings/apps/new makes an App of a manifest,
                   which is the one that is served from then on; /apps/SLUG/installations/new installs it
    requests       requests (method path status auth)  count_requests(method, path_contains)  unknown_requests

`Repo`: `by` and `author` are logins, default: the owner; `revision` is a SHA, branch or tag, default: the main branch
    push(branch=None, files={path: text | None}, message, *, author, force=False, base=None, executable=(),
         sign=False) -> sha
    push_commits(branch, [change(files, message, author=...), ...], *, author, force, base, sign) -> [sha]
    set_branch(branch, revision, by=)  delete_branch(branch, by=)  delete_tag(name, by=)
    tag(name, revision=None, by=, message=None, sign=False) -> sha  push_tags(names, revision=None, by=) -> sha
    open_pull(head, base=None, title=, *, author, body, draft) -> number  close_pull(number)  reopen_pull(number)
    edit_pull(number, title=, base=, by=)  convert_to_draft(number)  mark_ready(number)
    add_labels(number, *names, by=)  remove_label(number, name, by=)
    approve(number, by=)  request_changes(number, body, by=)  review(number, body, by=) -> Review
    edit_review(number, review, body, by=)  dismiss_review(number, review, by=)
    enqueue_pull(number, by=) -> QueuedGroup  land_group(group) -> sha  destroy_group(group, reason=)
    merge_pull(number, by=, method="merge" | "squash" | "rebase") -> sha
    comment_on_pull(number, body, by=)  edit_comment(comment, body, by=)  comment_on_commit(sha, body, by=)
    press(check_run, label_or_identifier, by=)  press_raw(check_run, identifier, by=)  rerequest(check_run, by=)
    set_permission(login, role)
    check_runs(revision=None, *, name=None, latest=True) newest first  check_run(revision, name)  buttons(check_run)
    deployments(revision=None, *, environment=None) newest first  comments(number)  commit_comments(revision=None)
    reactions(comment)  pull(number)  sha(revision)  read_file(path, revision)  id  full_name  clone_url

A fork's pull request: `repo.open_pull("mallory:topic", author="mallory")`; its branch moves by `fork.push("topic", …)`.

What is refused raises SandboxError with a sentence. What the reads give is in `records.py`: a CheckRun has name,
status, conclusion, title, summary, text, actions, annotations, external_id, details_url; a Deployment state,
statuses, environment.

Left out: branch protection and rulesets (but for the number of approvals), comments on lines, requested reviewers,
issues that are not pull requests, Actions and other Apps, commit statuses, teams, refreshing a person's token,
ETags, writing git by API. GraphQL knows the signature of a commit and the reviews of a pull request.
Signatures are marks (`sign=True`, and what GitHub merges on the web), no cryptography. A route or a query that is
missing answers 501 and is kept in `unknown_requests`.
"""

from app.sandbox.errors import SandboxError
from app.sandbox.github import AppSettings, SandboxGitHub
from app.sandbox.people import Repo
from app.sandbox.server import Served, serve_in_thread

__all__ = ["AppSettings", "Repo", "SandboxError", "SandboxGitHub", "Served", "serve_in_thread"]
