"""No event is lost while processes die: pushes that met a dead door, and lost ones, are decided once each."""

from pathlib import Path

from tests.driver import open_processes, wait_until
from tests.journeys.test_missed_log import FILES

QUICK = {"DELIVERY_LOG_EVERY_S": "1", "REFS_EVERY_S": "1", "REFS_GRACE_S": "1"}


def test_doors_and_jobs_that_die_in_the_middle_lose_and_double_nothing(tmp_path: Path, database_url: str) -> None:
    """The web process is killed, a push finds nobody; the jobs are killed while they look for it; another push is lost
    altogether. In the end each commit that the branch was left at has one tracked run, and no run was made twice."""
    with open_processes(tmp_path, database_url, **QUICK) as (world, processes):
        repo = world.repository(FILES)
        wait_until(lambda: len(world.runs()) == 1, "the first push is decided")
        wait_until(lambda: bool(world.sql("SELECT 1 FROM ref_looks WHERE first_at IS NOT NULL")), "it was seen")
        processes.kill("web")
        world.push(repo, {"app/two.tf": "# two\n"}, "Nobody is at the door")
        processes.kill("jobs")
        world.github.wait_deliveries()
        wait_until(world.is_answering, "the web process is back")
        processes.kill("jobs")
        world.github.post.drop = 2
        last = world.push(repo, {"app/three.tf": "# three\n"}, "Lost altogether")
        wait_until(lambda: world.runs()[-1].head_sha == last, "the last push was found")
        world.wait_carried_out()
        made = world.sql("SELECT stack_name, head_sha, type, ref, count(*) FROM runs GROUP BY 1, 2, 3, 4")
        assert {row[4] for row in made} == {1}
        assert world.sql("SELECT head_sha FROM stacks") == [(last,)]
        assert world.sql("SELECT guid FROM missed_deliveries WHERE outcome = 'given_up'") == []
