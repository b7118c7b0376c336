# SPDX-License-Identifier: Apache-2.0
"""Six hosts with addresses of their own: two httpd, haproxy, three Redis with sentinels.  Under steady enrollment each
kind of process dies in turn, then a whole host, then the master is cut off; nothing is given twice, nothing is lost."""
import pytest

import env
import hosts
import netns

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built"),
              pytest.mark.skipif(not env.ROOT, reason="network namespaces need root")]


class Db(hosts.Db):
    """A host with one redis-server and one sentinel."""

    def __init__(self, net, name, master):
        replica = ["replicaof %s 6379" % master] if net.address(name) != master else []
        super().__init__(net, name, replica)
        self.sentinel = None
        (self.folder / "sentinel.conf").write_text(
            "bind %s 127.0.0.1\nport 26379\nprotected-mode no\ndir %s\nsentinel monitor scep %s 6379 2\n"
            "sentinel down-after-milliseconds scep 1000\nsentinel failover-timeout scep 4000\n" % (
                self.address, self.folder, master))

    def start_sentinel(self):
        self.sentinel = self._start(env.REDIS, "sentinel.conf", "--sentinel")


class Site(hosts.Site):
    def start_store(self, names):
        self.dbs = [Db(self.net, name, self.net.address(names[0])) for name in names]
        for db in self.dbs:
            db.start_redis()
        self.wait_for_replicas()
        for db in self.dbs:
            db.start_sentinel()
        env.wait_until(lambda: all(db.command("sentinel", "ckquorum", "scep", port=26379).startswith("OK 3")
                                   for db in self.dbs), 40, 0.2, "the sentinels do not know each other")
        return "redis+sentinel://%s/scep" % ",".join("%s:26379" % db.address for db in self.dbs)

    def wait_for_replicas(self):
        def complete():
            master = self.master()
            return master and master.command("info", "replication").count("state=online") == 2
        env.wait_until(complete, 60, 0.2, "not all replicas are there")

    def master(self):
        """The one that has a replica."""
        found = [db for db in self.dbs if db.role() == "master" and "state=online" in db.command("info", "replication")]
        return found[0] if found else None

    def wait_for_another(self, old):
        """Returns when another one than the master of before is one."""
        env.wait_until(lambda: any(db.role() == "master" for db in self.dbs if db is not old), 30, 0.2, "no failover")


@pytest.fixture
def site(factory):
    reason = netns.why_not()
    if reason:
        pytest.skip("no network namespaces here: " + reason)
    made = Site(factory, "db1", "db2", "db3")
    yield made
    made.close()


def disturb(site, story):
    """Each thing in turn; enrollment has to go on after each before the next."""
    web1, web2 = site.webs
    story.event("a worker is killed", web1.kill_child)
    story.event("an httpd is killed", lambda: site.net.kill("web2"), lambda: hosts.restart(web2))
    story.event("haproxy is killed", lambda: site.net.kill("lb"), site.start_proxy)
    story.event("a sentinel is killed", site.dbs[1].sentinel.kill, site.dbs[1].start_sentinel)
    replica = next(db for db in site.dbs if db is not site.master())
    story.event("a replica is killed", replica.redis.kill, replica.start_redis)
    site.wait_for_replicas()
    old = site.master()
    story.event("the master is killed", old.redis.kill, old.start_redis)
    site.wait_for_replicas()
    old = site.master()
    story.event("the master's host is killed", lambda: (site.net.kill(old.name), site.net.link(old.name, "down")),
                lambda: (site.net.link(old.name, "up"), old.start_redis(), old.start_sentinel()))
    site.wait_for_replicas()
    old = site.master()
    story.event("the master is cut off", lambda: site.net.link(old.name, "down"),
                lambda: (site.wait_for_another(old), site.net.link(old.name, "up")))
    site.wait_for_replicas()
    story.event("a host of httpd is cut off", lambda: site.net.link("web1", "down"),
                lambda: site.net.link("web1", "up"))


def test_everything_dies_in_turn(site, keys):
    assert len(keys) == 4
    story = hosts.Story(site, 1500)
    disturb(site, story)
    story.finish()
