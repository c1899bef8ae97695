//! What the gateway says about a wrong configuration, and with which code it exits.
//!
//! One snapshot holds every message as an operator reads it. Each names the file, the key, what is wrong and what would be right.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

use tempfile::TempDir;

const ORIGIN: &str = env!("CARGO_BIN_EXE_origin");

/// Planted wherever a secret may stand; in no message.
const SECRET: &str = "hushhushhushhushhushhushhushhushhush";

/// A configuration that is good, to which a case adds what is wrong.
const SITE: &str = "[[site]]\nhosts = [\"makenot.work\"]\napp = \"127.0.0.1:3000\"\n";
const TLS: &str = "tls = { cert = \"DIR/own.pem\", key = \"DIR/own.key\" }\n";
const HTTP: &str = "listen.http = [\"127.0.0.1:8080\"]\n";

/// Title and text. `DIR` is the folder of [`files`].
const CASES: &[(&str, &str)] = &[
    ("broken TOML", "{http}{site}\nadmin = {\n"),
    ("broken TOML that holds a secret", "{http}{site}\nsecret = {secret}\n"),
    ("a key twice", "{http}{site}app = \"127.0.0.1:1\"\n"),
    ("unknown section", "{http}{site}[sites]\n"),
    ("unknown key", "{http}{site}[timeouts]\nconect = \"1s\"\n"),
    ("unknown key in a site", "{http}{site}upstream = \"127.0.0.1:1\"\n"),
    (
        "unknown key that holds a secret",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nsecret = \"{secret}\"\n",
    ),
    ("a key is missing", "{http}[[site]]\nhosts = [\"*\"]\n"),
    ("wrong type: number for text", "{http}{site}[limits]\nhead = 8192\n"),
    ("wrong type: text for a number", "listen.cores = \"two\"\n{http}{site}"),
    ("wrong type: text for a list", "listen.http = \"127.0.0.1:8080\"\n{site}"),
    ("wrong type: a table for a list of tables", "{http}[site]\nhosts = [\"*\"]\napp = \"127.0.0.1:1\"\n"),
    ("wrong type: a secret for a section", "{http}{site}[bucket]\nota = \"{secret}\"\n"),
    ("wrong type: a negative number", "listen.cores = -1\n{http}{site}"),
    ("address without a port", "listen.http = [\"127.0.0.1\"]\n{site}"),
    ("a name without a port", "{http}[[site]]\nhosts = [\"*\"]\napp = \"localhost\"\n"),
    ("an address that went wrong", "{http}[[site]]\nhosts = [\"*\"]\napp = \"127.0.0.256:3000\"\n"),
    ("an app without upstreams", "{http}[[site]]\nhosts = [\"*\"]\napp = []\n"),
    ("an app that is a number", "{http}[[site]]\nhosts = [\"*\"]\napp = 3000\n"),
    ("an upstream that is a number", "{http}[[site]]\nhosts = [\"*\"]\napp = [3000]\n"),
    ("an upstream twice", "{http}[[site]]\nhosts = [\"*\"]\napp = [\"127.0.0.1:1\", \"127.0.0.1:1\"]\n"),
    ("an upstream's unknown key", "{http}[[site]]\nhosts = [\"*\"]\napp = [{address = \"127.0.0.1:1\", wait = 2}]\n"),
    (
        "an upstream without weight",
        "{http}[[site]]\nhosts = [\"*\"]\napp = [\"127.0.0.1:1\", {address = \"127.0.0.1:2\", weight = 0}]\n",
    ),
    ("a check of one upstream", "{http}{site}check = \"/healthz\"\n"),
    (
        "a check that is no path",
        "{http}[[site]]\nhosts = [\"*\"]\napp = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\ncheck = \"healthz\"\n",
    ),
    ("an interval without a check", "{http}{site}check_every = \"1s\"\n"),
    ("a host twice", "{http}{site}{site}"),
    ("a host and path twice", "{http}{site}paths = [\"/git/\"]\n{site}paths = [\"/git/\"]\n"),
    ("a path that is none", "{http}{site}paths = [\"git\", \"/\", \"/a/../b/\", \"/a%2fb\", \"/a?b\"]\n"),
    (
        "a host of which one path needs a certificate",
        "{http}[tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\nclient_ca = \"DIR/own.pem\"\n{site}{site}paths = [\"/git/\"]\ntrust = \"cloudflare\"\n",
    ),
    (
        "a path with a certificate of its own",
        "{http}[tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\n{site}paths = [\"/git/\"]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\n",
    ),
    ("a site's limit out of range", "{http}{site}limits = {body = \"1B\", target = \"1B\"}\n"),
    ("a site's limit that only holds for all", "{http}{site}limits = {connections = 1}\n"),
    ("a site's timeout that only holds for all", "{http}{site}timeouts = {drain = \"1s\"}\n"),
    ("nobody's health", "{http}{site}health = \"nobody\"\n"),
    (
        "a status page that nobody can be shown",
        "{http}{site}[health]\ntoken_file = \"DIR/short.token\"\nsubscribers = 0\n",
    ),
    ("a time that is a number", "{http}{site}[log]\nsample = 10\nslow = 5\n"),
    ("a share below none", "{http}{site}[log]\nsample = -0.1\n"),
    (
        "traces that can't be sent",
        "{http}{site}[traces]\nurl = \"http://collector.example:4318/{secret}\"\nheaders_file = \"DIR/own.pem\"\nsample = 2.0\nqueue = 0\nwithin = \"1ms\"\n",
    ),
    (
        "a collector's URL with a password",
        "{http}{site}[traces]\nurl = \"https://user:{secret}@collector.example/v1/traces\"\n",
    ),
    ("timing for a token that is too short", "{http}{site}[timing]\ntoken_file = \"DIR/short.token\"\n"),
    ("a probe of what there is not", "{http}{site}[probe.a]\nkind = \"redis\"\n"),
    (
        "probes that lack what they need, and have what they don't",
        "{http}{site}[probe.A]\nkind = \"disk\"\nurl = \"https://a\"\n[probe.b]\nkind = \"postgres\"\n[probe.c]\nkind = \"certificates\"\nfolder = \"/\"\n",
    ),
    (
        "probes of what is elsewhere",
        "{http}{site}[probe.a]\nkind = \"app\"\nhost = \"none.test\"\npath = \"health\"\nexpect = 1\nhosts = [\"none.test\"]\n[probe.b]\nkind = \"bucket\"\nbucket = \"none\"\ncanary = \"/\"\n[probe.c]\nkind = \"disk\"\nfolder = \"DIR/none\"\n",
    ),
    (
        "probes that hold a secret",
        "{http}{site}[probe.a]\nkind = \"postgres\"\ndatabase = \"host=/run user=a password={secret}\"\n[probe.b]\nkind = \"postgres\"\ndatabase = \"{secret}\"\n[probe.c]\nkind = \"http\"\nurl = \"https://a:{secret}@a.test/\"\n[probe.d]\nkind = \"postgres-lag\"\ndatabase = \"user=a\"\n[probe.e]\nkind = \"monitor\"\nurl = \"http://a.test/\"\ntoken_file = \"DIR/none\"\n",
    ),
    (
        "probes of databases over TLS, and without",
        "{http}{site}[probe.a]\nkind = \"postgres\"\ndatabase = \"host=db.test user=a\"\ntls = false\n[probe.b]\nkind = \"postgres\"\ndatabase = \"host=/run user=a\"\ntls = true\n[probe.c]\nkind = \"postgres\"\ndatabase = \"host=localhost user=a\"\nca = \"DIR/none\"\n[probe.d]\nkind = \"postgres\"\ndatabase = \"host=localhost hostaddr=192.0.2.1 user=a\"\nca = \"DIR/none\"\n[probe.e]\nkind = \"postgres\"\ndatabase = \"host=/run,db.test user=a\"\n[probe.f]\nkind = \"postgres\"\ndatabase = \"host=db.test user=a sslmode=disable\"\n[probe.g]\nkind = \"memory\"\ntls = true\n",
    ),
    (
        "probes out of range",
        "{http}{site}[probe.a]\nkind = \"memory\"\nservice = \"\"\nevery = \"1ms\"\nwithin = \"2m\"\nfall = 0\nrise = 101\ndegraded = \"1s\"\ndown = \"101%\"\n[probe.b]\nkind = \"disk\"\nfolder = \"/\"\ndegraded = \"90%\"\ndown = \"80%\"\n[probe.c]\nkind = \"postgres-lag\"\ndatabase = \"host=/run user=a\"\ndegraded = \"5%\"\n",
    ),
    ("no failures", "{http}{site}[limits]\nfailures = 0\n"),
    ("address with a scheme", "{http}[[site]]\nhosts = [\"*\"]\napp = \"http://127.0.0.1:3000\"\n"),
    ("relative Unix socket", "{http}[[site]]\nhosts = [\"*\"]\napp = \"unix:run/app.sock\"\n"),
    ("clear text beyond loopback", "listen.http = [\"127.0.0.1:8080\", \"0.0.0.0:80\"]\n{site}"),
    ("relative Unix listener", "listen.unix = \"run/origin.sock\"\n{site}"),
    ("private listener beyond loopback", "{http}{site}[admin]\nlisten = \"[::]:9180\"\n"),
    ("private listener that is nowhere", "{http}{site}[admin]\nlisten = \"localhost:9180\"\n"),
    ("private listener on a relative path", "{http}{site}[admin]\nlisten = \"unix:admin.sock\"\n"),
    ("a token that is too short", "{http}{site}[admin]\nlisten = \"[::]:9180\"\ntoken_file = \"DIR/short.token\"\n"),
    ("a token that is not there", "{http}{site}[admin]\nlisten = \"[::]:9180\"\ntoken_file = \"DIR/none\"\n"),
    ("https without a certificate", "listen.https = [\"[::]:443\"]\n{site}"),
    ("nothing to listen on", "{site}"),
    ("an empty file", ""),
    ("no cores", "listen.cores = 0\n{http}{site}"),
    ("too many cores", "listen.cores = 257\n{http}{site}"),
    ("no site", "{http}"),
    ("a site without hosts", "{http}[[site]]\nhosts = []\napp = \"127.0.0.1:1\"\n"),
    (
        "a host twice",
        "{http}{site}[[site]]\nhosts = [\"forums.makenot.work\", \"MakeNot.Work\"]\napp = \"127.0.0.1:1\"\n",
    ),
    ("a host with a scheme", "{http}[[site]]\nhosts = [\"https://makenot.work\"]\napp = \"127.0.0.1:1\"\n"),
    ("a host with a port", "{http}[[site]]\nhosts = [\"makenot.work:443\"]\napp = \"127.0.0.1:1\"\n"),
    (
        "a wildcard inside",
        "{http}[[site]]\nhosts = [\"www.*.makenot.work\", \"*makenot.work\"]\napp = \"127.0.0.1:1\"\n",
    ),
    ("unknown trust", "{http}{site}trust = \"edge\"\n"),
    ("trust without client_ca", "{http}{site}trust = \"cloudflare\"\n"),
    ("a site's certificate without its key", "{http}{site}cert = \"DIR/own.pem\"\n"),
    ("a site's certificate without [tls]", "{http}{site}cert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\n"),
    ("a peer without what it needs", "{http}{site}[peer]\nadmin = \"10.0.0.6:9180\"\n"),
    (
        "a peer that is ourselves",
        "{http}{site}[state]\n[admin]\nlisten = \"127.0.0.1:9180\"\n[peer]\nadmin = \"127.0.0.1:9180\"\n",
    ),
    (
        "balancers that are none",
        "listen.balancers = [\"10.0.0.2\", \"10.0.0\", \"0.0.0.0/0\", \"fd00::/15\"]\n{http}{site}",
    ),
    ("a redirect to nowhere", "listen.redirect = [\"[::]:80\"]\n{http}{site}"),
    ("an app that can't be asked", "{tls}{site}acme_ask = \"https://127.0.0.1:3000/ask\"\n"),
    ("an app that can't be asked, and holds a secret", "{tls}{site}acme_ask = \"http://a:{secret}@127.0.0.1/ask\"\n"),
    ("ACME without [tls]", "{http}{site}acme_ask = \"http://127.0.0.1:3000/ask\"\n"),
    (
        "ACME and a certificate",
        "{tls}{site}acme_ask = \"http://127.0.0.1:3000/ask\"\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\n",
    ),
    (
        "ACME behind Cloudflare",
        "tls = { cert = \"DIR/own.pem\", key = \"DIR/own.key\", client_ca = \"DIR/own.pem\" }\n{site}trust = \"cloudflare\"\n\
         acme_ask = \"http://127.0.0.1:3000/ask\"\n",
    ),
    (
        "a zone, an API and a token that are none",
        "{http}{site}[cloudflare]\nzone = \"makenot.work\"\napi = \"http://a/\"\nca = \"DIR/none.pem\"\ntoken_file = \"DIR/none\"\n",
    ),
    (
        "a widget that nobody made",
        "{http}{site}[turnstile]\nsite_key = \"a b\"\nsecret_file = \"DIR/short.lines\"\nclearance = \"2days\"\nwithin = \"10ms\"\napi = \"http://a/\"\nca = \"DIR/none.pem\"\n",
    ),
    (
        "limits that limit nothing",
        "{http}{site}[rate.a]\nburst = 0\nevery = \"1ms\"\npaths = [\"login\"]\nmethods = [\"post\"]\nhosts = [\"https://a\"]\nkey = \"a b\"\nkeep = 1\n[rate.B]\nburst = 1\nevery = \"2days\"\n",
    ),
    (
        "headers that cannot be",
        "{http}{site}[headers]\nframes = \"ALL\"\nreferrer = \"a\\nb\"\nremove = [\"content-type\", \"a b\"]\n",
    ),
    ("filter keys without [filter]", "{http}{site}filter_off = [\"/git/\"]\n"),
    (
        "a filter without sense",
        "{http}[filter]\nblock = [\"sql\"]\nrules = \"DIR/none.toml\"\n{site}filter_off = [\"git\"]\nfilter_block = [\"all\"]\n",
    ),
    ("rules without sense", "{http}[filter]\nrules = \"DIR/rules.toml\"\n{site}"),
    ("a rule with an unknown key", "{http}[filter]\nrules = \"DIR/key.toml\"\n{site}"),
    ("rules that are no TOML", "{http}[filter]\nrules = \"DIR/broken.toml\"\n{site}"),
    (
        "webhooks that nobody could send",
        "{http}{site}[webhook.a]\npath = \"stripe\"\nscheme = \"stripe\"\nsecrets_file = \"DIR/short.lines\"\ntolerance = \"2h\"\nbody = \"1B\"\naddresses = [\"192.0.2.1\", \"postmark\"]\nsignature = \"x-signature\"\n[webhook.B]\npath = \"/b\"\nscheme = \"basic\"\nsecrets_file = \"DIR/bare.key\"\n[webhook.c]\npath = \"/c\"\nscheme = \"hmac\"\nsecrets_file = \"DIR/empty\"\ntimestamp = \"a b\"\n[webhook.d]\npath = \"/d\"\nscheme = \"bearer\"\n",
    ),
    (
        "a webhook's path twice",
        "{http}{site}[webhook.a]\npath = \"/a\"\nscheme = \"bearer\"\nsecrets_file = \"DIR/bare.key\"\n[webhook.b]\npath = \"/a\"\nscheme = \"stripe\"\nsecrets_file = \"DIR/bare.key\"\n",
    ),
    (
        "upload routes that lie in each other",
        "{http}{site}[upload.a]\npath = \"/api/uploads\"\n[upload.b]\npath = \"/api/uploads/b\"\n[upload.c]\npath = \"/api/uploads2\"\n",
    ),
    (
        "upload routes that cannot be",
        "{http}{site}[upload.A]\npath = \"uploads\"\nsize = \"0B\"\nlasts = \"8days\"\n[upload.b]\npath = \"/uploads/\"\nlasts = \"1s\"\n[upload.c]\npath = \"/\"\n",
    ),
    ("a webhook's unknown scheme", "{http}{site}[webhook.a]\npath = \"/a\"\nscheme = \"digest\"\n"),
    ("ACME by path", "{tls}{site}acme_ask = \"http://127.0.0.1:3000/ask\"\npaths = [\"/git/\"]\n"),
    (
        "a CA that is none",
        "{http}{site}[acme]\ndirectory = \"http://ca.example/dir\"\ncontact = \"mailto:a@b.example\"\nca = \"DIR/none.pem\"\n\
         wait = \"3m\"\nasks = 0\norders = 0\n",
    ),
    ("unknown key of a CA", "{http}{site}[acme]\nfolder = \"/tmp\"\n"),
    (
        "limits out of range",
        "{http}{site}[limits]\nbody = \"1B\"\nbody_rate = \"0B\"\nconnections = 0\nin_flight = 1\nheld = 0\n",
    ),
    ("edge-only without client_ca and keys", "{http}{site}trust = \"edge-only\"\n"),
    ("static is a file", "{http}{site}static = \"DIR/edge.keys\"\n"),
    ("static is not there", "{http}{site}static = \"DIR/assets\"\n"),
    ("well_known is not there", "{http}{site}well_known = \"DIR/well-known\"\n"),
    ("certificate and key are missing", "{site}[tls]\ncert = \"DIR/a.pem\"\nkey = \"DIR/a.key\"\n"),
    ("the certificate is none", "{site}[tls]\ncert = \"DIR/edge.keys\"\nkey = \"DIR/own.key\"\n"),
    ("the key is a certificate", "{site}[tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.pem\"\n"),
    ("certificate and key do not fit", "{site}[tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/other.key\"\n"),
    ("client_ca is a key", "{site}[tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\nclient_ca = \"DIR/own.key\"\n"),
    ("keys file missing", "{http}{site}[edge]\nkeys_file = \"DIR/none.keys\"\n"),
    ("keys file empty", "{http}{site}[edge]\nkeys_file = \"DIR/empty\"\n"),
    ("keys file with a short key", "{http}{site}[edge]\nkeys_file = \"DIR/short.keys\"\n"),
    ("keys file with the example key", "{http}{site}[edge]\nkeys_file = \"DIR/example.keys\"\n"),
    ("keys file of another form", "{http}{site}[edge]\nkeys_file = \"DIR/form.keys\"\n"),
    ("window too long", "{http}{site}[edge]\nkeys_file = \"DIR/edge.keys\"\nwindow = \"6m\"\n"),
    ("window under a second", "{http}{site}[edge]\nkeys_file = \"DIR/edge.keys\"\nwindow = \"500ms\"\n"),
    ("too much skew", "{http}{site}[edge]\nkeys_file = \"DIR/edge.keys\"\nskew = \"2m\"\n"),
    ("calls to storage out of range", "{http}{site}[storage]\nat_once = 257\nrate = 0\nattempt = \"31s\"\n"),
    (
        "a bucket's role",
        "{http}{site}[bucket.User_Files]\nurl = \"https://a.example\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a bucket's address without a scheme",
        "{http}{site}[bucket.ota]\nurl = \"a.example\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a bucket's address with a query",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example/ota?x=1\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a bucket's address with a secret",
        "{http}{site}[bucket.ota]\nurl = \"https://id:{secret}@a.example\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a URL that lasts too long",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nexpiry = \"8days\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a URL that lasts no second",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nexpiry = \"20ms\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a URL that may last less than it does",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nexpiry_max = \"1m\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "what a bucket takes",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nprefixes = [\"/ota\", \"a/../b\"]\ntypes = [\"*/*\", \"audio\", \"a/b; c=d\"]\n\
         upload_max = \"6TiB\"\nparts_from = \"6GiB\"\npart_size = \"4MiB\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "how a bucket is to be",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nkeep_versions = \"36h\"\nkeep_parts = \"1h\"\norigins = [\"makenot.work\", \"https://*.*.work\"]\n\
         write_principal = \"me\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "what a bucket's server lacks",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nlacks = [\"website\"]\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a pending prefix that is none",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\npending = \"pending\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "a pending prefix that may be read",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\nprefixes = [\"users\", \"users/pending/ota\"]\npending = \"users/pending/\"\ncredentials_file = \"DIR/bucket.key\"\n",
    ),
    (
        "an app's token that is the operator's",
        "{http}{site}[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"DIR/good.token\"\napp_token_file = \"DIR/good.token\"\n",
    ),
    ("what the private listener takes", "{http}{site}[admin]\nlisten = \"127.0.0.1:0\"\nbatch = 0\nbody = \"1GiB\"\n"),
    (
        "the reading key as the writing one",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\ncredentials_file = \"DIR/bucket.key\"\nwrite_credentials_file = \"DIR/bucket.key\"\n",
    ),
    ("no credentials", "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\n"),
    (
        "credentials file missing",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\ncredentials_file = \"DIR/none\"\n",
    ),
    (
        "credentials of another form",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\ncredentials_file = \"DIR/bare.key\"\n",
    ),
    (
        "credentials too short",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example\"\ncredentials_file = \"DIR/short.key\"\n",
    ),
    ("a size without a number", "{http}{site}[cache]\nsize = \"big\"\n"),
    ("a size with an unknown unit", "{http}{site}[cache]\nsize = \"1 Kio\"\n"),
    ("an object larger than the cache", "{http}{site}[cache]\nsize = \"1MiB\"\nobject = \"2MiB\"\n"),
    ("a duration without a unit", "{http}{site}[timeouts]\nanswer = \"5\"\n"),
    ("a negative duration", "{http}{site}[timeouts]\nanswer = \"-5s\"\n"),
    ("no duration at all", "{http}{site}[timeouts]\ndrain = \"0s\"\n"),
    ("head too small", "{http}{site}[limits]\nhead = \"8191B\"\n"),
    ("head too large", "{http}{site}[limits]\nhead = \"1048577B\"\n"),
    ("target too small", "{http}{site}[limits]\ntarget = \"255B\"\n"),
    ("a body too small", "{http}{site}[limits]\nbody = \"1023B\"\n"),
    ("a rate of nothing", "{http}{site}[limits]\nbody_rate = \"0B\"\n"),
    ("no connections", "{http}{site}[limits]\nconnections = 0\nconnections_per_client = 0\n"),
    ("too few requests in flight", "{http}{site}[limits]\nin_flight = 31\n"),
    ("a negative limit", "{http}{site}[limits]\nin_flight = -1\n"),
    (
        "several faults at once",
        "listen.http = [\"0.0.0.0:80\"]\n[admin]\nlisten = \"10.0.0.1:1\"\n[limits]\nhead = \"1KiB\"\ntarget = \"1MiB\"\n\
         [edge]\nkeys_file = \"DIR/short.keys\"\n[[site]]\nhosts = [\"a b\"]\napp = \"127.0.0.1:1\"\ntrust = \"edge-only\"\n\
         static = \"DIR/assets\"\n[bucket.ota]\nurl = \"ota\"\nexpiry = \"30days\"\n",
    ),
];

/// The files that cases name.
fn files() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    let pair = || rcgen::generate_simple_self_signed(vec!["makenot.work".to_owned()]).expect("a certificate");
    let (own, other) = (pair(), pair());
    write("own.pem", &own.cert.pem());
    write("own.key", &own.signing_key.serialize_pem());
    write("other.key", &other.signing_key.serialize_pem());
    // The word is base64 of 27 bytes: twice it makes a key, once it is too short for one.
    write("edge.keys", &format!("2026-11:{SECRET}{SECRET}\n"));
    write("short.keys", &format!("# keys\n2026-11:{SECRET}\n"));
    write("example.keys", &format!("2026-11:{}\n", contract::signature::EXAMPLE_SECRET));
    write("form.keys", &format!("{SECRET}\n"));
    write("bucket.key", &format!("ACCESSKEY:{SECRET}\n"));
    write("good.token", SECRET);
    write("bare.key", &format!("{SECRET}\n"));
    write("short.key", &format!("ACCESSKEY:{}\n", &SECRET[..15]));
    write("short.token", &SECRET[..31]);
    write(
        "rules.toml",
        "[[rule]]\nname = \"A b\"\naction = \"block\"\nstatus = 200\npath = [\"api\"]\nmethod = [\"get\"]\ncountry = [\"de\"]\n\
         address = [\"203.0.113.1/24\"]\n[[rule]]\nname = \"xss-uri\"\naction = \"log\"\npage = \"x\"\n[[rule]]\nname = \"to\"\n\
         action = \"redirect\"\nto = \"//evil.example\"\n[[rule]]\nname = \"all\"\naction = \"block\"\n[[rule]]\nname = \"slow\"\n\
         action = \"limit\"\n[[route]]\nname = \"all\"\npath = [\"/a\"]\n",
    );
    write("key.toml", "[[rule]]\nname = \"a\"\naction = \"block\"\npaths = [\"/a\"]\n");
    write("broken.toml", "[[rule]\n");
    write("short.lines", &format!("{SECRET}\n\n{}\n", &SECRET[..15]));
    write("empty", "");
    folder
}

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(ORIGIN);
    command.args(arguments).current_dir(folder.path()).env_remove("CREDENTIALS_DIRECTORY").env("RUST_LOG", "trace");
    command.output().expect("the gateway runs")
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

/// Writes a configuration and has it checked.
fn check(folder: &TempDir, text: &str) -> (Option<i32>, String) {
    let dir = folder.path().display().to_string();
    let text = text
        .replace("{http}", HTTP)
        .replace("{site}", SITE)
        .replace("{secret}", SECRET)
        .replace("{tls}", TLS)
        .replace("DIR", &dir);
    fs::write(folder.path().join("origin.toml"), text).expect("written");
    let output = run(folder, &["check-config", "origin.toml"]);
    (output.status.code(), said(&output).replace(&dir, "DIR"))
}

#[test]
fn every_fault_is_said_and_no_secret() {
    let folder = files();
    let mut all = String::new();
    for (title, text) in CASES {
        let (code, said) = check(&folder, text);
        assert_eq!(code, Some(78), "{title}: {said}");
        assert!(!said.contains(&SECRET[..8]), "{title}: {said}");
        all.push_str(&format!("— {title}\n{said}\n"));
    }
    insta::assert_snapshot!("config_errors", all);
}

/// Every neighbour of a case that is right, lest a message be said too often.
#[test]
fn what_is_right_at_the_edge_of_wrong() {
    let folder = files();
    for text in [
        "{http}{site}",
        "listen.cores = 256\n{http}{site}",
        "listen.http = [\"[::1]:0\"]\n{site}",
        "listen.unix = \"/run/origin/origin.sock\"\n{site}",
        "{http}{site}trust = \"direct\"\n",
        "{http}[[site]]\nhosts = [\"*.makenot.work\", \"[::1]\", \"a_b.example\", \"*\"]\napp = \"unix:/run/app.sock\"\n",
        "{http}{site}[limits]\nhead = \"8KiB\"\ntarget = \"64KiB\"\n",
        "{http}{site}[limits]\nhead = \"1MiB\"\ntarget = \"256B\"\n",
        "{http}{site}[limits]\nbody = \"1KiB\"\nbody_rate = \"1B\"\nconnections = 1\nconnections_per_client = 1\nin_flight = 32\n",
        "{http}{site}[cache]\nsize = \"1MiB\"\nobject = \"1MiB\"\n",
        "{http}{site}[edge]\nkeys_file = \"DIR/edge.keys\"\nwindow = \"5m\"\nskew = \"1m\"\n",
        "{http}{site}[bucket.ota]\nurl = \"https://a.example/ota/\"\nexpiry = \"7days\"\ncredentials_file = \"DIR/bucket.key\"\n",
        "{http}{site}[webhook.a]\npath = \"/a\"\nscheme = \"hmac\"\nsignature = \"X-Hub-Signature-256\"\ntolerance = \"1h\"\nbody = \"16MiB\"\naddresses = [\"192.0.2.1\", \"2001:db8::/32\"]\nsecrets_file = \"DIR/bare.key\"\n",
        "{tls}listen.redirect = [\"[::]:80\"]\n{site}acme_ask = \"http://[::1]:3000/ask?key=1\"\n[acme]\nwait = \"2m\"\nasks = 1\norders = 1\n",
        "{site}trust = \"edge-only\"\n[edge]\nkeys_file = \"DIR/edge.keys\"\n\
         [tls]\ncert = \"DIR/own.pem\"\nkey = \"DIR/own.key\"\nclient_ca = \"DIR/own.pem\"\n",
    ] {
        let (code, said) = check(&folder, text);
        assert_eq!(code, Some(0), "{text}: {said}");
        assert!(said.starts_with("origin.toml: good; 1 site(s), "), "{said}");
    }
}

#[test]
fn exit_codes() {
    let folder = files();
    fs::write(folder.path().join("good.toml"), format!("{HTTP}{SITE}")).expect("written");
    fs::write(folder.path().join("bad.toml"), HTTP).expect("written");
    for (arguments, code) in [
        (&["check-config", "good.toml"][..], 0),
        (&["check-config", "bad.toml"], 78),
        (&["check-config", "none.toml"], 78),
        (&["serve", "--config", "bad.toml"], 78),
        (&["serve", "--config", "none.toml"], 78),
        (&["--version"], 0),
        (&[], 2),
        (&["serve", "good.toml"], 2),
        (&["start"], 2),
        (&["check-config", "good.toml", "bad.toml"], 2),
    ] {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    }
    let output = run(&folder, &["check-config", "none.toml"]);
    insta::assert_snapshot!(said(&output), @"none.toml: cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_taken_port_is_one_sentence() {
    let folder = files();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address");
    for text in [
        format!("listen.http = [\"{address}\"]\n{SITE}"),
        format!("listen.http = [\"127.0.0.1:0\"]\n{SITE}[admin]\nlisten = \"{address}\"\n"),
    ] {
        fs::write(folder.path().join("origin.toml"), text).expect("written");
        let output = run(&folder, &["serve", "--config", "origin.toml"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert_eq!(
            said(&output),
            format!(
                "origin: cannot listen on {address}: another program listens there; stop it or choose another port\n"
            )
        );
    }
}
