# SPDX-License-Identifier: Apache-2.0
"""What of Redis' settings is dangerous stands in the log after a start, and nothing else does."""
import pytest

import env
from test_300_stores import secret_file
from test_900_sentinel import store_lines

ACL = ("+eval +evalsha +ping +auth +select +time +exists +get +set +hset +hget +hmget +hgetall +hdel +hincrby +pexpire "
       "+pttl +zadd +zrem +zcard +zcount +zscore +zrange +zrangebyscore +zrangebylex +zrevrangebylex")
SEE = " +info +config|get"

DANGERS = {
    "evicts": (["maxmemory 100mb", "maxmemory-policy allkeys-lru"], [], "maxmemory-policy allkeys-lru throws"),
    "keeps nothing": (["appendonly no"], [], "nothing is kept on disk"),
    "keeps snapshots": (["appendonly no", "save 3600 1"], [], "only snapshots are kept"),
    "never syncs": (["appendfsync no"], [], "appendfsync no"),
    "no replica": ([], ["ScepStoreWait 2 50ms"], "ScepStoreWait wants 2 replicas and there are 0"),
}


@pytest.mark.parametrize("name", list(DANGERS))
def test_danger_is_told(factory, name):
    lines, more, text = DANGERS[name]
    redis = factory.redis(lines=lines)
    server = factory.httpd(server=store_lines(redis.urls()["tcp"], *more))
    server.expect("SCEP0212")
    server.start()
    line = server.log.wait("SCEP0212", 20)
    assert text in line and redis.urls()["tcp"] in line
    server.graceful()
    assert len(server.log.lines("SCEP0212", 0)) <= 2


def test_good_settings_are_not_told(factory):
    redis = factory.redis(lines=["appendfsync always", "maxmemory 100mb", "maxmemory-policy noeviction"])
    server = factory.httpd(server=store_lines(redis.urls()["tcp"])).start()
    env.wait_until(lambda: "cmdstat_config" in redis.command("info", "commandstats"), 20, what="nobody looked")
    assert not server.log.lines("SCEP021[234]", 0)


@pytest.mark.parametrize("rights,text", [
    (ACL, "SCEP0213.*may not look at its settings"),
    (ACL.replace(" +zrevrangebylex", "").replace(" +hdel", "") + SEE,
     "SCEP0212.*may not run HDEL, ZREVRANGEBYLEX, which")])
def test_rights_that_lack(factory, rights, text):
    """Said at the start, not by the first device that needs one of them."""
    redis = factory.redis(lines=["appendfsync always", "user scep on >Redis-Pass ~{scep:* -@all " + rights])
    folder = env.folder("secret")
    (folder / "password").write_text("Redis-Pass\n")
    (folder / "password").chmod(0o600)
    server = factory.httpd(server=store_lines(
        redis.urls()["tcp"], "ScepStoreUser scep", "ScepStorePasswordFile %s" % (folder / "password"),
        secret=secret_file(folder)))
    server.expect("SCEP0212", r"SCEP0\d{3}.*NOPERM")
    server.start()
    assert server.log.wait(text, 20)


def test_cluster_node_by_the_wrong_name(factory):
    cluster = factory.cluster(masters=3, replicas=0)
    server = factory.httpd(server=store_lines("redis://127.0.0.1:%d" % cluster.owner("corp").port))
    server.expect("SCEP0212", r"SCEP0\d{3}")
    server.start()
    assert "redis+cluster" in server.log.wait("SCEP0212", 20)


def test_master_without_replica(factory):
    sentinels = factory.sentinels(replicas=0, sentinels=1)
    server = factory.httpd(server=store_lines(sentinels.url()))
    server.expect("SCEP0212")
    server.start()
    assert "the master has no replica" in server.log.wait("SCEP0212", 20)
