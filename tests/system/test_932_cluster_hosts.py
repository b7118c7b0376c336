# SPDX-License-Identifier: Apache-2.0
"""Nine hosts with addresses of their own: two httpd, haproxy, a cluster of three masters with a replica each.  Under
steady enrollment each kind of process dies in turn, then a whole host, then the master of the service is cut off."""
import subprocess

import pytest

import env
import hosts
import netns

DBS = ("db1", "db2", "db3", "db4", "db5", "db6")
LINES = ("cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0",
         "cluster-require-full-coverage no")

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(env.module("mod_scep_fault") is None, reason="mod_scep_fault is not built"),
              pytest.mark.skipif(not env.ROOT, reason="network namespaces need root")]


class Site(hosts.Site):
    def start_store(self, names):
        self.dbs = [hosts.Db(self.net, name, LINES) for name in names]
        for db in self.dbs:
            db.start_redis()
        env.wait_until(lambda: all(db.command("ping") == "PONG" for db in self.dbs), 30, 0.2, "a node did not start")
        nodes = ["%s:6379" % db.address for db in self.dbs]
        subprocess.run([*self.net.prefix(), "redis-cli", "--cluster", "create", *nodes, "--cluster-replicas", "1",
                        "--cluster-yes"], stdout=subprocess.DEVNULL, check=True, timeout=60)
        self.wait_for_replicas()
        return "redis+cluster://" + ",".join(nodes)

    def masters(self, but=None):
        """The nodes that have slots, as each of them says of itself."""
        found = []
        for db in self.dbs:
            lines = db.command("cluster", "nodes").split("\n") if db is not but else []
            mine = next((line.split() for line in lines if "myself" in line), [])
            if len(mine) > 8 and "master" in mine[2]:
                found.append((db, [[int(n) for n in words.split("-")] for words in mine[8:] if words[0] != "["]))
        return found

    def owner(self, but=None):
        """Who has the service's slot."""
        slot = 0
        for db in self.dbs:
            slot = slot or int(db.command("cluster", "keyslot", "{scep:corp}:idx") or 0)
        return next((db for db, ranges in self.masters(but) if any(r[0] <= slot <= r[-1] for r in ranges)), None)

    master = owner

    def replica_of(self, master):
        return next(db for db in self.dbs if db.command("role").split("\n")[:2] == ["slave", master.address])

    def wait_for_replicas(self):
        """All three masters have one, and all nodes say that all is well."""
        def complete():
            masters = self.masters()
            return len(masters) == 3 and \
                all("state=online" in db.command("info", "replication") for db, _ in masters) and \
                all("cluster_state:ok" in db.command("cluster", "info") for db in self.dbs)
        env.wait_until(complete, 60, 0.2, "not all replicas are there")

    def wait_for_another(self, old):
        """Returns when another one than the owner of before is it."""
        env.wait_until(lambda: self.owner(but=old), 30, 0.2, "no failover")


@pytest.fixture
def site(factory):
    reason = netns.why_not()
    if reason:
        pytest.skip("no network namespaces here: " + reason)
    made = Site(factory, *DBS)
    yield made
    made.close()


def disturb(site, story):
    """Each thing in turn.  A master whose only replica is gone, or was made master, has nobody to confirm what
    ScepStoreWait wants confirmed: enrollment goes on when the one that died is back."""
    web1, web2 = site.webs
    story.event("a worker is killed", web1.kill_child)
    story.event("an httpd is killed", lambda: site.net.kill("web2"), lambda: hosts.restart(web2))
    replica = site.replica_of(site.owner())
    story.event("the replica of the service's master is killed", replica.redis.kill, replica.start_redis, needed=True)
    site.wait_for_replicas()
    old = site.owner()
    story.event("the service's master is killed", lambda: (old.redis.kill(), site.wait_for_another(old)),
                old.start_redis, needed=True)
    site.wait_for_replicas()
    other = next(db for db, _ in site.masters() if db is not site.owner())
    story.event("another master is killed", other.redis.kill, other.start_redis)
    site.wait_for_replicas()
    old = site.owner()
    story.event("the host of the service's master is killed",
                lambda: (site.net.kill(old.name), site.net.link(old.name, "down"), site.wait_for_another(old)),
                lambda: (site.net.link(old.name, "up"), old.start_redis()), needed=True)
    site.wait_for_replicas()
    old = site.owner()
    story.event("the service's master is cut off",
                lambda: (site.net.link(old.name, "down"), site.wait_for_another(old)),
                lambda: site.net.link(old.name, "up"), needed=True)
    site.wait_for_replicas()
    story.event("a host of httpd is cut off", lambda: site.net.link("web1", "down"),
                lambda: site.net.link("web1", "up"))


def test_everything_dies_in_turn(site, keys):
    assert len(keys) == 4
    story = hosts.Story(site, 1500)
    disturb(site, story)
    story.finish()
