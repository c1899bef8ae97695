"""OpenStack Swift on loopback in one process: proxy with its S3 API, account, container and object server, one device, one replica.

Arguments: a folder, and then ACCESSKEY=SECRET for each user, the first of whom may do everything. The proxy's port is written to `port` in the folder
once it serves.
"""

import logging
import os
import sys

import eventlet

eventlet.monkey_patch()

from swift.common.utils import set_swift_dir  # noqa: E402

folder, users = sys.argv[1], sys.argv[2:]
for name in ("device", "run"):
    os.makedirs(f"{folder}/{name}")


def write(name, text):
    with open(f"{folder}/{name}.conf", "w") as file:
        file.write(text)


write("swift", "[swift-hash]\nswift_hash_path_suffix = loopback\n[storage-policy:0]\nname = one\ndefault = yes\n")
set_swift_dir(folder)

from eventlet import listen, spawn, wsgi  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import SwiftHttpProtocol, loadapp  # noqa: E402

# Bound from the beginning: nobody else gets them meanwhile.
sockets = {name: listen(("127.0.0.1", 0)) for name in ("account", "container", "object", "proxy")}
ports = {name: socket.getsockname()[1] for name, socket in sockets.items()}

for name in ("account", "container", "object"):
    its = ports[name]
    ring = RingBuilder(2, 1, 0)
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1", "port": its, "device": "device"}
    ring.add_dev({**device, "replication_ip": "127.0.0.1", "replication_port": its, "meta": ""})
    ring.rebalance()
    ring.get_ring().save(f"{folder}/{name}.ring.gz")
    write(name, f"""[DEFAULT]
devices = {folder}
mount_check = false
swift_dir = {folder}
recon_cache_path = {folder}/run
fallocate_reserve = 0
disable_fallocate = true
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
""")

# `app:owner` is the user `owner` of the account `app`.
logins = "\n".join(
    "user_{}_{} = {}{}".format(*user.partition("=")[0].split(":"), user.partition("=")[2], "" if n else " .admin")
    for n, user in enumerate(users)
)
filters = ["catch_errors", "gatekeeper", "listing_formats", "bulk", "s3api", "tempauth", "copy", "slo", "dlo", "versioned_writes", "symlink"]
settings = {
    "s3api": "location = fsn1\ns3_acl = true\ncheck_bucket_owner = true\n",
    "tempauth": logins + "\n",
    "versioned_writes": "allow_versioned_writes = true\nallow_object_versioning = true\n",
}
write("proxy", f"""[DEFAULT]
swift_dir = {folder}
[pipeline:main]
pipeline = {" ".join(filters)} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
""" + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n{settings.get(name, '')}" for name in filters))


class Cache(dict):
    """What memcached would be; Swift's own authentication insists on one."""

    def __bool__(self):
        return True

    def get(self, key, raise_on_error=False, **_):
        return dict.get(self, key)

    def set(self, key, value, **_):
        self[key] = value

    def incr(self, key, delta=1, **_):
        self[key] = (self.get(key) or 0) + delta
        return self[key]

    def delete(self, key, **_):
        self.pop(key, None)


cache = Cache()


def cached(app):
    def call(environ, start_response):
        environ["swift.cache"] = cache
        return app(environ, start_response)

    return call


servers = []
for name, socket in sockets.items():
    app = loadapp(f"{folder}/{name}.conf")
    app = cached(app) if name == "proxy" else app
    servers.append(spawn(wsgi.server, socket, app, log_output=False, protocol=SwiftHttpProtocol))
# It would log to the system's log.
errors = logging.StreamHandler()
errors.setLevel(logging.ERROR)
for name in list(logging.root.manager.loggerDict):
    logging.getLogger(name).addHandler(errors)
with open(f"{folder}/port.new", "w") as file:
    file.write(str(ports["proxy"]))
os.rename(f"{folder}/port.new", f"{folder}/port")
for server in servers:
    server.wait()
