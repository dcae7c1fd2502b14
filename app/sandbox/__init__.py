"""The sandbox: a stand-in for GitHub, true and strict: real git, signed webhooks, GitHub's rules, pages for people.

    github = SandboxGitHub(root)
    with serve_in_thread(github, port=0) as served:      # .url .api_url .port .stop()
        github.webhook_url = "http://127.0.0.1:8000/webhooks/github"      # None (default): nothing is sent
        repo = github.create_repository("acme", "infra", files={"main.tf": "..."})
        sha = repo.push(files={"main.tf": "..."}, message="Change")

`SandboxGitHub(root: Path, settings: AppSettings | None)`: AppSettings(app_id, client_id, slug, name, owner,
private_key_pem,
webhook_url, webhook_secret, permissions, events). Addresses: API `url/api`, git `url/OWNER/REPO.git`, pages
`url/OWNER/REPO`.
    private_key_pem  app.id  app.client_id  webhook_url  webhook_secret  server_url  api_url
    create_user(login)  create_organization(login)  user(login).token      create_repository(owner, name, *,
    private=True,
    default_branch="main", files=None, installed=True) -> Repo      repo("owner/name") -> Repo
    set_permission(full, login, role)
    install(account, repositories=None, *, permissions=None)  uninstall(account)  suspend(account, suspended=True)
    select_repositories(account, names)  installation(account)  installation_token(account, permissions=,
    repositories=) -> str
    rename_repository(full, new)  delete_repository(full)  ping()
  time and trouble: clock.advance(seconds)   trouble.fail_next(method, path_regex, status=502, times=1,
  after_work=False)
    trouble.hit_secondary_limit(times, retry_after_s=60)   trouble.clear()   rates.set_remaining(n)
    buttons_on_commits = True
    repo.refuse_check_runs = True   repo.mergeable_is_pending = True
  deliveries: deliveries (oldest first: .guid .event .action .payload .status .status_code .ok .redelivery)
  wait_deliveries()
    redeliver(delivery)   post.hold()  post.release(reverse=False)   post.double = True   post.lose = n
  what was asked: requests (method, path, status, auth)   count_requests(method, path_contains)   unknown_requests

`Repo`, the handle (logins default to the repository's owner; `revision` is a SHA, branch or tag, default the default
branch):
    push(branch=None, files={path: text | None}, message, *, author, force=False, base=None, executable=()) -> sha
    push_commits(branch, [change(files, message, author=)...], *, author, force, base) -> [sha]
    set_branch(branch, revision, by=)  delete_branch(branch, by=)  tag(name, revision=None, by=, message=None) -> sha
    push_tags(names, revision, by=)  delete_tag(name, by=)
    open_pull(head, base=None, title, *, author, body, draft) -> number      merge_pull(number, by=,
    method="merge") -> sha
    close_pull(number)  reopen_pull(number)  pull(number)
    comment_on_pull(number, body, by=) -> IssueComment   edit_comment(comment, body, by=)   comment_on_commit(sha,
    body, by=)
    press(check_run, label_or_identifier, by=)  press_raw(check_run, identifier, by=)  rerequest(check_run, by=)
    buttons(check_run) -> [label]    set_permission(login, role)
  reads: sha(revision)  read_file(path, revision)  check_runs(revision, name=, latest=True) newest first
  check_run(revision, name)
    deployments(revision, environment=) newest first  comments(number)  commit_comments(revision)  reactions(comment)
    id  full_name  clone_url  record
What is refused raises SandboxError with a sentence. Records are in `records.py`: a CheckRun has name, status,
conclusion, title,
summary, text, actions, annotations, external_id, details_url; a Deployment has state, statuses, environment, sha,
task, payload.

True to GitHub's documentation, answers fit its OpenAPI description. Left out: GraphQL, branch protection and
rulesets, merge
queues, forks, reviews, Actions and other Apps, commit statuses, commit signatures, teams, the App manifest and login,
ETags,
annotations on files, edits of commits by API. A route that is missing answers 501 and is kept in `unknown_requests`.
"""

from app.sandbox.errors import SandboxError
from app.sandbox.github import AppSettings, SandboxGitHub
from app.sandbox.people import Repo
from app.sandbox.server import Served, serve_in_thread

__all__ = ["AppSettings", "Repo", "SandboxError", "SandboxGitHub", "Served", "serve_in_thread"]
